"""What a run leaves at its end: results in their place, and a record of all that still holds."""

from __future__ import annotations

from pathlib import Path

from insaat_cli.planning.planner import Planner
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.runner.run_record import RunRecord, StageRecord
from insaat_cli.runner.run_result import WAITING
from insaat_cli.workspace.workspace import Workspace


def place_results(
    plan: RunPlan, workspace: Workspace, record: RunRecord, notes: list[str]
) -> tuple[Path, ...]:
    """Copy what the last stage made to the top of the workspace, and record which run it is of.

    A result that the user has changed since is kept under another name; `notes` say so.
    """
    stage = record.stages[plan.pipeline.stages[-1].name]
    outputs = workspace.result_names(stage.name, plan.results)
    names = {Path(output).name for output in outputs}
    for name in record.results.edited(workspace.root):
        if name in names:
            aside = workspace.set_aside(name)
            notes.append(f"{name} had been changed; the changed file was kept as {aside.name}")
    results = workspace.place_results(stage.name, outputs, overwrite=plan.overwrite)
    for path in results:
        record.results.place(path, run=stage.run, stage=stage.name, fingerprint=stage.fingerprint)
    return results


def keep_what_stands(planner: Planner, workspace: Workspace, record: RunRecord) -> None:
    """Write down the stages that the run did not come to, but whose published results hold."""
    done = {name for name, stage in record.stages.items() if stage.status != WAITING}
    for stage in planner.pipeline.stages:
        if stage.name in done or any(need not in planner.identities for need in stage.needs):
            continue
        marker = workspace.marker(stage.name, planner.fingerprint(stage))
        if marker is not None and planner.stands(stage, marker):
            planner.accept(stage, marker)
            kept = StageRecord.waiting(stage)
            kept.take(marker)
            record.later[stage.name] = kept
            record.results.still_hold(stage.name, kept.fingerprint)
