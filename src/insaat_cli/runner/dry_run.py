"""Tell what a run would do, as events, without doing it."""

from __future__ import annotations

from collections.abc import Sequence

from insaat_cli.planning.forecast import Forecast, check_disk
from insaat_cli.planning.planner import changes
from insaat_cli.runner.events import Listener, RunPlanned
from insaat_cli.runner.run_result import PLANNED, SKIPPED, RunResult, StageSummary
from insaat_cli.workspace.workspace import Workspace


def dry_run(workspace: Workspace, stages: Sequence[Forecast], send: Listener) -> RunResult:
    """Send RunPlanned for every one of `stages`; write nothing.

    DiskFullError, after that, where the disk is too small.
    """
    summaries = []
    for forecast in stages:
        stage = forecast.stage
        send(
            RunPlanned(
                stage=stage.name,
                title=stage.title,
                skipped=forecast.skipped,
                fits=forecast.fits,
                threads=forecast.option.threads,
                predicted_bytes=forecast.option.memory_bytes,
                predicted_seconds=forecast.seconds,
                predicted_disk_bytes=forecast.disk_bytes,
                changes=changes(stage.params, forecast.params),
            )
        )
        status = SKIPPED if forecast.skipped else PLANNED
        summaries.append(StageSummary(name=stage.name, title=stage.title, status=status))
    check_disk(workspace.root, stages)
    return RunResult(
        workspace=workspace.root,
        stages=tuple(summaries),
        results=(),
        seconds=0.0,
        peak_bytes=0,
        record=None,
    )
