"""One attempt at a stage: start it in its scratch folder, listen to it, see how it ended."""

from __future__ import annotations

import errno
import os
import shutil
import string
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insaat_cli.errors import MemoryLimitError, StageError, TimedOutError
from insaat_cli.machine.process_memory import oom_kills
from insaat_cli.pipeline.definition import Stage
from insaat_cli.pipeline.parameters import Params, ParamValue
from insaat_cli.pipeline.stage_contract import StageRequest
from insaat_cli.planning.deadlines import UNLIMITED, StageLimits
from insaat_cli.planning.scheduler import Option
from insaat_cli.runner.events import RunEvent, StageProgress, StageWarning
from insaat_cli.runner.failure_diagnosis import Ending
from insaat_cli.runner.process import ChildProcess, ChildSpec
from insaat_cli.workspace.workspace import Workspace

LOG_TAIL_BYTES = 16_384
NEAR_BUDGET = 0.9
DISK_FULL_BYTES = 65_536
"""A disk with less than this left counts as full."""
MEGABYTE = 1_000_000
MAX_WARNINGS = 100
NO_ROOM = (errno.ENOMEM, errno.EAGAIN)
"""What the kernel says when it has no memory, or no process number, for a new process."""


@dataclass(frozen=True, kw_only=True)
class AttemptSpec:
    """What is tried: the stage with the settings in force."""

    stage: Stage
    params: Params
    option: Option
    grant_bytes: int
    number: int
    """From 1."""
    alone: bool = False
    """Nothing else runs beside it, for nobody knows what it will use."""
    limits: StageLimits = UNLIMITED


class Attempt:
    """A stage that runs."""

    def __init__(
        self, workspace: Workspace, spec: AttemptSpec, send: Callable[[RunEvent], None]
    ) -> None:
        stage = spec.stage
        self.spec = spec
        self.workspace = workspace
        self.send = send
        self.log = workspace.log(stage.name)
        self.share = 0.0
        self.warnings: list[str] = []
        self.stopped = ""
        """Why the watch ended it, so that it is tried again; "" if it did not."""
        self.timed_out: TimedOutError | None = None
        """Why its time was over."""
        self.events_heard = 0
        self._paused_at: float | None = None
        self._paused_s = 0.0
        self._error_event: Mapping[str, Any] | None = None
        self._oom_kills = oom_kills()
        request = stage_request(workspace, spec)
        workspace.begin(stage.name)
        request.write(workspace.request(stage.name))
        arguments = stage_arguments(workspace, spec, request)
        self._log_start = write_log_header(self.log, spec, arguments)
        child = ChildSpec(
            arguments=arguments,
            folder=request.output,
            log=self.log,
            threads=spec.option.threads,
        )
        try:
            self.child = ChildProcess(child)
        except OSError as error:
            kind = MemoryLimitError if error.errno in NO_ROOM else StageError
            raise kind(
                f"{stage.title}: cannot start: {error.strerror}", stage=stage.name, log=self.log
            ) from error

    @property
    def seconds(self) -> float:
        """How long it has worked; pauses do not count."""
        now = time.monotonic()
        pause = 0.0 if self._paused_at is None else now - self._paused_at
        return now - self.child.started - self._paused_s - pause

    @property
    def paused(self) -> bool:
        return self._paused_at is not None

    def pause(self, reason: str) -> None:
        """Let it stand still, with its memory, until `resume`."""
        if self._paused_at is None:
            self._paused_at = time.monotonic()
            self.child.pause()
            self.warn(f"paused: {reason}")

    def resume(self) -> None:
        """Go on after a pause."""
        if self._paused_at is not None:
            self._paused_s += time.monotonic() - self._paused_at
            self._paused_at = None
            self.child.resume()
            self.warn("resumed")

    def stop(self, reason: str) -> None:
        """End it at once: what it has written so far is worth nothing."""
        self.stopped = reason
        self.child.kill()

    def time_out(self, error: TimedOutError) -> None:
        """End it at once, as one that hangs; Python's stages say in their log where."""
        self.timed_out = error
        self.child.abort()

    def warn(self, text: str) -> None:
        """Say one sentence about this stage to the user and the record."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(text)
            self.send(StageWarning(stage=self.spec.stage.name, text=text))

    def listen(self) -> None:
        """Hand on what the stage has said since the last call."""
        name = self.spec.stage.name
        for event in self.child.events():
            self.events_heard += 1
            if event["event"] == "progress" and isinstance(event.get("share"), int | float):
                self.share = max(self.share, min(float(event["share"]), 1.0))
                self.send(StageProgress(stage=name, share=self.share))
            elif event["event"] == "warning":
                self.warn(str(event.get("text", "")))
            elif event["event"] == "error":
                self._error_event = event

    def ending(self, exit_code: int) -> Ending | None:
        """How it failed; None if it did not."""
        if exit_code == 0 and self._error_event is None:
            return None
        granted = max(self.spec.grant_bytes, self.spec.option.memory_bytes)
        return Ending(
            exit_code=exit_code,
            error_event=self._error_event,
            log_tail=self._log_tail(),
            log=self.log,
            memory_was_short=oom_kills() > self._oom_kills
            or self.child.peak_bytes > NEAR_BUDGET * granted,
            disk_is_full=shutil.disk_usage(self.workspace.root).free < DISK_FULL_BYTES,
            workspace=self.workspace.root,
        )

    def _log_tail(self) -> str:
        with self.log.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(self._log_start, end - LOG_TAIL_BYTES))
            return stream.read().decode("utf-8", "replace")


def stage_request(workspace: Workspace, spec: AttemptSpec) -> StageRequest:
    stage = spec.stage
    return StageRequest(
        stage=stage.name,
        params=dict(spec.params),
        inputs={need: workspace.folder(need) for need in stage.needs},
        photos=workspace.photos,
        output=workspace.scratch(stage.name),
        threads=spec.option.threads,
        memory_bytes=spec.grant_bytes,
    )


def stage_arguments(
    workspace: Workspace, spec: AttemptSpec, request: StageRequest
) -> tuple[str, ...]:
    """The command line of a stage; never a shell string."""
    stage = spec.stage
    if stage.command is None:
        # -P: what lies in the working directory must never be imported instead of a package.
        return (sys.executable, "-P", "-m", stage.run or "", str(workspace.request(stage.name)))
    values = {
        "workspace": str(workspace.root),
        "output": str(request.output),
        "photos": str(request.photos),
        "threads": str(request.threads),
        "memory_mb": str(request.memory_bytes // MEGABYTE),
    }
    values |= {f"inputs.{name}": str(folder) for name, folder in request.inputs.items()}
    values |= {f"params.{name}": argument_text(value) for name, value in spec.params.items()}
    return tuple(fill(argument, values) for argument in stage.command)


def fill(template: str, values: Mapping[str, str]) -> str:
    """`template` with its {placeholders} replaced; {{ and }} are braces."""
    parts = string.Formatter().parse(template)
    return "".join(text + (values[name] if name is not None else "") for text, name, _, _ in parts)


def argument_text(value: ParamValue) -> str:
    """A parameter as programs expect it: truth as 1 and 0, nothing as empty."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)


def write_log_header(log: Path, spec: AttemptSpec, arguments: tuple[str, ...]) -> int:
    """Say in the log what starts; the first attempt of a run starts a new log. Returns its size."""
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    lines = (
        f"--- {spec.stage.name}, attempt {spec.number}, {when}, threads {spec.option.threads}\n"
        f"--- {list(arguments)!r}\n"
    )
    with log.open("wb" if spec.number == 1 else "ab") as stream:
        stream.write(lines.encode("utf-8", "backslashreplace"))
        return stream.tell()
