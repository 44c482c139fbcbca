"""What the runner and a built-in stage say to each other.

The runner starts `python -m insaat_cli.stages.NAME REQUEST.json` in a process group of its own.
The stage writes only below `request.output`, sends events (one JSON object a line) to the file
descriptor named in INSAAT_EVENTS_FD, and leaves its metrics in `output/result.json`, which the
pipeline's `expect` is checked against. Its stdout and stderr are its log.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO, TypeVar

from insaat_cli.errors import InsaatError, MemoryLimitError, UsageError, fault_of

EVENTS_FD_VARIABLE = "INSAAT_EVENTS_FD"
RESULT_NAME = "result.json"
PROGRESS_STEP = 0.005

Options = TypeVar("Options")
Metrics = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StageRequest:
    """One execution of a stage: everything it may read, write and use."""

    stage: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Path]
    """Published output folder of every stage named in `needs`."""
    photos: Path
    """photos.json of the run."""
    output: Path
    """An empty folder; the stage writes nowhere else."""
    threads: int
    memory_bytes: int
    """The share of the budget granted to this stage."""

    def write(self, path: Path) -> None:
        fields = dataclasses.asdict(self)
        path.write_text(json.dumps(fields, default=str, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> StageRequest:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            stage=raw["stage"],
            params=raw["params"],
            inputs={name: Path(folder) for name, folder in raw["inputs"].items()},
            photos=Path(raw["photos"]),
            output=Path(raw["output"]),
            threads=raw["threads"],
            memory_bytes=raw["memory_bytes"],
        )


class Events:
    """Progress, warnings and the final error of a stage, as JSON lines."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._share = -1.0

    @classmethod
    def from_environment(cls) -> Events:
        descriptor = os.environ.get(EVENTS_FD_VARIABLE)
        if descriptor is None:
            return cls(None)
        return cls(os.fdopen(int(descriptor), "w", encoding="utf-8", buffering=1))

    def progress(self, share: float) -> None:
        """Say that `share` (0 to 1) of the stage's work is done."""
        if share >= 1.0 or share - self._share >= PROGRESS_STEP:
            self._share = share
            self._send({"event": "progress", "share": round(min(max(share, 0.0), 1.0), 4)})

    def warning(self, text: str) -> None:
        """Something that the user should know, in one sentence; it goes to the board and report."""
        self._send({"event": "warning", "text": text})

    def error(self, error: InsaatError) -> None:
        self._send(
            {
                "event": "error",
                "fault": fault_of(error).value,
                "message": error.message,
                "hint": error.hint,
            }
        )

    def _send(self, event: dict[str, Any]) -> None:
        line = json.dumps(event, ensure_ascii=False)
        if self._stream is None:
            print(line, file=sys.stderr)
            return
        try:
            self._stream.write(line + "\n")
        except BrokenPipeError:
            self._stream = None


StageMain = Callable[[StageRequest, Events], Metrics]


def end_at_once_when_asked() -> None:
    """Let the kernel end this process on SIGTERM, SIGINT and SIGHUP, whatever code it is in.

    A handler of Python's waits for the compiled code in between to return, which takes minutes in
    bundle adjustment. Nothing needs one: a stage writes only into its scratch folder.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def run_stage(main: StageMain) -> int:
    """Entry point of every `python -m insaat_cli.stages.NAME`: request in, result.json out."""
    end_at_once_when_asked()
    request = StageRequest.read(Path(sys.argv[1]))
    events = Events.from_environment()
    try:
        metrics = main(request, events)
    except InsaatError as error:
        events.error(error)
        return int(error.code)
    except MemoryError:
        out_of_memory = MemoryLimitError(f"{request.stage} ran out of memory")
        events.error(out_of_memory)
        return int(out_of_memory.code)
    text = json.dumps(metrics, indent=1, ensure_ascii=False)
    (request.output / RESULT_NAME).write_text(text, encoding="utf-8")
    events.progress(1.0)
    return 0


def parse_options(kind: type[Options], params: Mapping[str, Any]) -> Options:
    """Build the frozen options dataclass `kind`; an unknown key or a wrong type is an error."""
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(params) - set(hints))
    if unknown:
        raise UsageError(
            f"unknown parameter {', '.join(unknown)}",
            hint=f"choose from {', '.join(sorted(hints))}",
        )
    return kind(**{key: _convert(key, hints[key], value) for key, value in params.items()})


def _convert(key: str, hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        choices = [choice for choice in typing.get_args(hint) if choice is not type(None)]
        return None if value is None else _convert(key, choices[0], value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        try:
            return hint(value)
        except ValueError:
            known = ", ".join(hint)
            raise UsageError(f"invalid {key}: {value!r}", hint=f"choose from {known}") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise UsageError(f"{key} is {value!r}, which is not a {hint.__name__}")
    if hint is float and not math.isfinite(value):
        raise UsageError(f"{key} is {value!r}, which is not a finite number")
    return value
