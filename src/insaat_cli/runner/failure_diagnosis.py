"""How an attempt at a stage ended: what to tell the user, and what to try next. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from insaat_cli.errors import (
    ERROR_OF_FAULT,
    DoNotFitError,
    Fault,
    InsaatError,
    MemoryLimitError,
    MissingError,
    StageError,
)
from insaat_cli.formatting import printable
from insaat_cli.pipeline.definition import Stage
from insaat_cli.runner.guard import CANNOT_START
from insaat_cli.workspace.workspace import disk_full

LOG_LINES_SHOWN = 5
LINE_LENGTH_SHOWN = 160
KILLED = 128 + signal.SIGKILL
DISK_FULL_TEXT = re.compile(
    r"no space left on device|disk quota exceeded|database or disk is full|file too large|ENOSPC",
    re.IGNORECASE,
)
MEMORY_TEXT = re.compile(
    r"std::bad_alloc|\bMemoryError\b|cannot allocate memory|out of memory|OutOfMemoryError"
    r"|Insufficient memory|^Killed$",
    re.IGNORECASE | re.MULTILINE,
)
MISSING_TEXT = re.compile(r"^ModuleNotFoundError: (.*)$|^.*: (No module named .*)$", re.MULTILINE)
STACK_LINE = re.compile(r"\s*@\s+(0x|\()")
"""As glog prints them, in COLMAP and others; they tell a user nothing."""
MEMORY_HINT = (
    "raise --max-memory, close other programs, or use smaller photos "
    "(insaat plan shows what each preset needs)"
)
SIGNAL_MEANING = {
    signal.SIGSEGV: "it crashed (segmentation fault)",
    signal.SIGABRT: "it crashed (aborted)",
    signal.SIGBUS: "it crashed (bus error)",
    signal.SIGFPE: "it crashed (arithmetic error)",
    signal.SIGILL: "this program was built for a different processor (illegal instruction)",
    signal.SIGKILL: "it was killed",
    signal.SIGTERM: "it was terminated by another program",
}


class Remedy(StrEnum):
    """What can be tried after a bad end."""

    NONE = "none"
    SAME = "same"
    """Once more as it was."""
    CHEAPER = "cheaper"
    """The next rung of `on_memory`."""
    OTHER = "other"
    """The next rung of `on_failure`."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Everything known of an attempt that is over."""

    exit_code: int
    """128 + N for signal N."""
    error_event: Mapping[str, Any] | None
    log_tail: str
    log: Path
    memory_was_short: bool
    """The kernel killed something for memory meanwhile, or the use was near the budget."""
    disk_is_full: bool
    workspace: Path


@dataclass(frozen=True, kw_only=True)
class Verdict:
    error: InsaatError
    remedy: Remedy


def judge(stage: Stage, ending: Ending) -> Verdict:
    """What a failed attempt (a non-zero status or an error event) means."""
    error, remedy = _judge(stage, ending)
    error.stage = stage.name
    error.log = ending.log
    return Verdict(error=error, remedy=remedy)


def judge_result(stage: Stage, error: InsaatError, log: Path) -> Verdict:
    """What an unmet expectation means: the stage ended well, with a useless result."""
    error.stage, error.log = stage.name, log
    return Verdict(error=error, remedy=Remedy.OTHER)


def _judge(stage: Stage, ending: Ending) -> tuple[InsaatError, Remedy]:
    event = ending.error_event or {}
    said = f"{event.get('message', '')}\n{ending.log_tail}"
    if ending.disk_is_full or DISK_FULL_TEXT.search(said):
        return disk_full(ending.workspace), Remedy.NONE
    if event:
        return _from_event(event)
    if ending.exit_code == CANNOT_START and "insaat: cannot start" in ending.log_tail:
        return _cannot_start(stage), Remedy.NONE
    if ending.exit_code == KILLED or MEMORY_TEXT.search(ending.log_tail):
        certain = ending.memory_was_short or ending.exit_code != KILLED
        short = MemoryLimitError(f"{stage.title}: out of memory", hint=MEMORY_HINT)
        return short, Remedy.CHEAPER if certain else Remedy.SAME
    if missing := MISSING_TEXT.search(ending.log_tail):
        reason = missing.group(1) or missing.group(2)
        hint = "reinstall insaat-cli, the installation is incomplete"
        return MissingError(f"{stage.title}: {printable(reason)}", hint=hint), Remedy.NONE
    reason = _reason(ending.exit_code)
    error = StageError(f"{stage.title}: {reason}", hint=_log_hint(ending.log_tail))
    return error, Remedy.NONE if ending.exit_code == 128 + signal.SIGILL else Remedy.OTHER


def _from_event(event: Mapping[str, Any]) -> tuple[InsaatError, Remedy]:
    try:
        kind = ERROR_OF_FAULT[Fault(str(event.get("fault")))]
    except ValueError:
        kind = StageError
    error = kind(str(event.get("message", "")), hint=str(event.get("hint", "")))
    if isinstance(error, MemoryLimitError):
        error.hint = error.hint or MEMORY_HINT
        return error, Remedy.CHEAPER
    return error, Remedy.OTHER if kind in (StageError, DoNotFitError) else Remedy.NONE


def _cannot_start(stage: Stage) -> MissingError:
    program = stage.command[0] if stage.command else "python"
    return MissingError(
        f"{stage.title}: cannot start the program {program}",
        hint="install it and put it on PATH; insaat doctor shows what is missing",
    )


def _reason(exit_code: int) -> str:
    if exit_code > 128:
        number = exit_code - 128
        try:
            return SIGNAL_MEANING.get(
                signal.Signals(number), f"ended by {signal.Signals(number).name}"
            )
        except ValueError:
            pass  # no signal of this system: the bare number says more
    return f"failed with exit status {exit_code}"


def _log_hint(log_tail: str) -> str:
    before, fatal, _ = log_tail.partition("Fatal Python error")  # what follows are stack traces
    log_tail = before if fatal and before.strip() else log_tail
    lines = [
        printable(line.rstrip())
        for line in log_tail.splitlines()
        if line.strip() and not line.startswith("---") and not STACK_LINE.match(line)
    ]
    if not lines:
        return "its log is empty"
    shown = [line[:LINE_LENGTH_SHOWN] for line in lines[-LOG_LINES_SHOWN:]]
    return "its log ends with:\n" + "\n".join(f"  {line}" for line in shown)
