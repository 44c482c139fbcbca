"""run.json: what a run was, on which machine, how each stage went, and how it ended."""

from __future__ import annotations

import dataclasses
import platform
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insaat_cli import __version__
from insaat_cli.errors import InsaatError
from insaat_cli.machine.limits import machine_limits
from insaat_cli.pipeline.definition import Stage
from insaat_cli.planning.run_plan import Figures, RunPlan
from insaat_cli.runner.run_result import SKIPPED, WAITING, StageSummary
from insaat_cli.workspace.json_file import read_object, write_json
from insaat_cli.workspace.results import Results
from insaat_cli.workspace.workspace import Workspace

FORMAT = 1
FACTS_OF_RUN = ("insaat", "pipeline", "preset", "params")
"""What is kept of a run as long as its results are there."""
METRES = "metres"
"""The metric `unit` of a stage whose world frame is in metres."""


@dataclass(kw_only=True)
class StageRecord:
    """One stage in run.json; the finished ones also travel in the marker of their folder."""

    name: str
    title: str
    status: str = WAITING
    fingerprint: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 0
    attempts: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """User and system time of all its processes; of attempts that were killed for their memory
    nothing is known."""
    peak_bytes: int = 0
    predicted_bytes: int = 0
    predicted_seconds: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    """What was degraded and why, one sentence each."""
    log: str = ""
    """Relative to the workspace."""
    run: str = ""
    """The run that did it."""

    @classmethod
    def waiting(cls, stage: Stage) -> StageRecord:
        """Of `stage`, before anything was done."""
        log = f"logs/{stage.name}.log"
        return cls(name=stage.name, title=stage.title, log=log, params=stage.params)

    def marker(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def take(self, marker: Mapping[str, Any]) -> None:
        """Become what an earlier run recorded, as a skipped stage."""
        for item in dataclasses.fields(self):
            if item.name in marker and item.name not in ("name", "title"):
                setattr(self, item.name, marker[item.name])
        self.status = SKIPPED

    def summary(self, folder: Path) -> StageSummary:
        return StageSummary(
            name=self.name,
            title=self.title,
            status=self.status,
            seconds=self.seconds,
            peak_bytes=self.peak_bytes,
            metrics=self.metrics,
            warnings=tuple(self.warnings),
            degraded=tuple(self.degraded),
            folder=folder,
        )


class RunRecord:
    """Writes run.json after each change."""

    def __init__(
        self, plan: RunPlan, workspace: Workspace, stages: list[StageRecord], request: str
    ) -> None:
        self.workspace = workspace
        self.stages = {record.name: record for record in stages}
        self.later: dict[str, StageRecord] = {}
        """Stages that this run did not come to, whose earlier results still hold."""
        self.run = secrets.token_hex(8)
        self.results = Results.of(read_object(workspace.record), run=self.run, request=request)
        self.figures: Figures | None = None
        self.report_run = read_object(workspace.record).get("report_run")
        self._fields = _constant_fields(plan)
        self._error: dict[str, Any] | None = None
        self._finished: str | None = None

    def write(self) -> None:
        figures = self.figures
        measured = {
            "seconds": figures.seconds if figures else None,
            "peak_bytes": figures.peak_bytes if figures else 0,
        }
        own = {key: self._fields[key] for key in ("started", *FACTS_OF_RUN)} | {
            "photos": len(self._fields["photos"]),
            "request": self.results.request,
            **measured,
        }
        well = self._finished is not None and self._error is None
        value = {
            **self._fields,
            "stages": [record.marker() for record in self._all_stages()],
            **self.results.to_json(self.workspace.root, own, well=well),
            **measured,
            "reused": figures is not None and figures.reused,
            "figures_run": figures.run if figures else None,
            "report_run": self.report_run,
            "metres_per_unit": self._metres_per_unit(),
            "error": self._error,
            "finished": self._finished,
        }
        write_json(self.workspace.record, value)

    def _all_stages(self) -> list[StageRecord]:
        return list({**self.stages, **self.later}.values())

    def _metres_per_unit(self) -> float | None:
        """1 where a stage that registered the cameras says that its frame is metric."""
        units = [record.metrics.get("unit") for record in self._all_stages()]
        return 1.0 if METRES in units else None

    def measured(self, seconds: float, peak_bytes: int) -> Figures:
        """What this run took; or, where it found everything done, what that took."""
        records = list(self.stages.values())
        if any(record.status != SKIPPED for record in records):
            started = str(self._fields["started"])
            return Figures(
                seconds=round(seconds, 3), peak_bytes=peak_bytes, run=self.run, started=started
            )
        run = records[-1].run
        made = self.results.runs.get(run, {})
        # The record of an earlier version says what each stage took, and no more.
        sums = sum(record.seconds for record in records)
        peak = max((record.peak_bytes for record in records), default=0)
        return Figures(
            seconds=made.get("seconds") or round(sums, 3),
            peak_bytes=made.get("peak_bytes") or peak,
            run=run,
            started=str(made.get("started", "")),
            reused=True,
        )

    def end(self, error: InsaatError | None) -> None:
        """The run is over; `error` is why, where it did not end well."""
        self._finished = now()
        if error is not None:
            self._error = {
                "code": int(error.code),
                "message": error.message,
                "hint": error.hint,
                "stage": error.stage,
                "log": str(error.log) if error.log else None,
            }
        self.write()


def _constant_fields(plan: RunPlan) -> dict[str, Any]:
    limits = machine_limits()
    return {
        "format": FORMAT,
        "insaat": __version__,
        "pipeline": plan.pipeline.name,
        "pipeline_file": plan.pipeline.source,
        "preset": plan.preset,
        "params": {stage.name: dict(stage.params) for stage in plan.pipeline.stages},
        "machine": {
            "platform": platform.platform(),
            "python": sys.version.split()[0],
            "cores": limits.cores,
            "memory_limit_bytes": limits.memory_bytes,
            "memory_limit_source": limits.memory_source,
        },
        "memory_budget_bytes": plan.memory_budget_bytes,
        "threads": plan.threads,
        "photos": [photo.name for photo in plan.photos],
        "left_out": [left.to_json() for left in plan.left_out],
        "until": plan.until_stage,
        "started": now(),
    }


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
