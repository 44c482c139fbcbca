"""What a run would do, without doing it."""

from __future__ import annotations

from insaat_cli.planning import Planner, changes
from insaat_cli.run_events import Listener, RunPlanned
from insaat_cli.run_plan import RunResult, StageSummary
from insaat_cli.run_record import SKIPPED
from insaat_cli.scheduler import Budget, ways_on
from insaat_cli.workspace import Workspace

PLANNED = "planned"


def dry_run(planner: Planner, workspace: Workspace, again: set[str], send: Listener) -> RunResult:
    """Send RunPlanned for every stage; `again` are those that would be redone in any case."""
    plan = planner.plan
    budget = Budget(memory_bytes=plan.memory_budget_bytes, cores=plan.threads)
    summaries = []
    for stage in planner.stages:
        fingerprint = planner.fingerprint(stage)
        marker = None if stage.name in again else workspace.marker(stage.name, fingerprint)
        task = planner.task(stage)
        option = (*ways_on(task, budget), task.options[-1])[0]
        params = planner.settings(stage, option.rung).params
        planner.accept(stage, marker or {"fingerprint": fingerprint, "params": params})
        send(
            RunPlanned(
                stage=stage.name,
                title=stage.title,
                skipped=marker is not None,
                threads=option.threads,
                predicted_bytes=option.memory_bytes,
                predicted_seconds=planner.seconds(stage),
                changes=changes(stage.params, params),
            )
        )
        status = SKIPPED if marker else PLANNED
        summaries.append(StageSummary(name=stage.name, title=stage.title, status=status))
    return RunResult(
        workspace=workspace.root,
        stages=tuple(summaries),
        results=(),
        seconds=0.0,
        peak_bytes=0,
        record=None,
    )
