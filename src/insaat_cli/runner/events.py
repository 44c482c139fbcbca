"""What a run tells its listener: the messages that the board, `--json` and tests read.

Every message is frozen and carries plain values only. Bytes are bytes, times are seconds.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """Base of all messages."""


@dataclass(frozen=True, kw_only=True)
class StageOutline:
    """One stage of the run, as known before it starts."""

    name: str
    title: str


@dataclass(frozen=True, kw_only=True)
class PhotosFound(RunEvent):
    """Before a run: what was looked through. `left_out` is name → reason."""

    used: int
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunStarted(RunEvent):
    """The first message of every run."""

    pipeline: str
    preset: str
    workspace: Path
    stages: tuple[StageOutline, ...]
    """Every stage of this run in order, those that will be reused too."""
    photos: int
    memory_budget_bytes: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class StageSkipped(RunEvent):
    """The stage's result of an earlier run still holds."""

    stage: str
    title: str


@dataclass(frozen=True, kw_only=True)
class StageStarted(RunEvent):
    """An attempt at a stage starts; `attempt` counts from 1."""

    stage: str
    title: str
    threads: int
    attempt: int
    predicted_bytes: int
    predicted_seconds: float
    log: Path


@dataclass(frozen=True, kw_only=True)
class StageProgress(RunEvent):
    """`share` (0 to 1) of the stage is done."""

    stage: str
    share: float


@dataclass(frozen=True, kw_only=True)
class StageWarning(RunEvent):
    """One sentence that the user should read."""

    stage: str
    text: str


@dataclass(frozen=True, kw_only=True)
class StageDegraded(RunEvent):
    """The stage will run with cheaper or safer settings: `changes` is parameter → new value."""

    stage: str
    reason: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageFinished(RunEvent):
    """The stage's outputs are checked and published."""

    stage: str
    title: str
    seconds: float
    peak_bytes: int
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageFailed(RunEvent):
    """The stage failed for good; the run ends with the same error."""

    stage: str
    title: str
    message: str
    hint: str
    log: Path | None


@dataclass(frozen=True, kw_only=True)
class MemorySample(RunEvent):
    """Memory of all processes of the run now (PSS where the kernel gives it), several a second."""

    used_bytes: int
    peak_bytes: int
    budget_bytes: int


@dataclass(frozen=True, kw_only=True)
class RunProgress(RunEvent):
    """Where the whole run stands, several times a second; `seconds_left` is a forecast."""

    share: float
    elapsed_seconds: float
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class RunPlanned(RunEvent):
    """Only in a dry run: what would be done with one stage."""

    stage: str
    title: str
    skipped: bool
    threads: int
    fits: bool = True
    """False: the run would be refused, for this stage needs more than the budget."""
    predicted_bytes: int
    predicted_seconds: float
    predicted_disk_bytes: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings that would be degraded so that the stage fits the budget."""


@dataclass(frozen=True, kw_only=True)
class RunFinished(RunEvent):
    """The last message of a run that ended well."""

    results: tuple[Path, ...]
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class RunFailed(RunEvent):
    """The last message of a run that ended otherwise; `code` is the exit code."""

    code: int
    message: str
    hint: str
    stage: str
    log: Path | None


@dataclass(frozen=True, kw_only=True)
class ReportWritten(RunEvent):
    """After a run: where its report is."""

    report: Path


Listener = Callable[[RunEvent], None]


def event_fields(event: RunEvent) -> dict[str, Any]:
    """`event` as plain JSON values, its kind (`stage_started`, …) under "event"."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    return {"event": kind, **{name: _plain(value) for name, value in _items(event)}}


def _items(event: Any) -> list[tuple[str, Any]]:
    return [(item.name, getattr(event, item.name)) for item in dataclasses.fields(event)]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {name: _plain(inner) for name, inner in _items(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value
