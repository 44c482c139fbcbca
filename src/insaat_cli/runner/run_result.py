"""What a run comes to: the status of each stage, and the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insaat_cli.planning.run_plan import Figures

WAITING = "waiting"
RUNNING = "running"
DONE = "done"
SKIPPED = "skipped"
FAILED = "failed"
STOPPED = "stopped"
PLANNED = "planned"


@dataclass(frozen=True, kw_only=True)
class StageSummary:
    """How one stage went, for the summary table and the report."""

    name: str
    title: str
    status: str
    """"done", "skipped", "failed" or "planned"."""
    seconds: float = 0.0
    peak_bytes: int = 0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    """What was degraded, one sentence each."""
    folder: Path | None = None
    """Its published outputs."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run leaves."""

    workspace: Path
    stages: tuple[StageSummary, ...]
    results: tuple[Path, ...]
    seconds: float
    peak_bytes: int
    record: Path | None
    """run.json; None after a dry run."""
    reused: Figures | None = None
    """Where there was nothing to do: the run that had done it, whose figures these are."""
    notes: tuple[str, ...] = ()
    """On results of earlier runs that are still there, one sentence each."""
