"""What a run would do, stage by stage, without doing it."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import DiskFullError
from insaat_cli.parameters import Params
from insaat_cli.pipeline import Stage
from insaat_cli.planning import Planner, changes
from insaat_cli.run_events import Listener, RunPlanned
from insaat_cli.run_plan import RunPlan, RunResult, StageSummary
from insaat_cli.run_record import PLANNED, SKIPPED
from insaat_cli.scheduler import Budget, Option, ways_on
from insaat_cli.wording import size
from insaat_cli.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """One stage as it would go if the machine were idle."""

    stage: Stage
    skipped: bool
    option: Option
    """How it would run; where nothing fits the budget, its cheapest way."""
    fits: bool
    least_bytes: int
    """With the same settings, on as few threads as it takes."""
    params: Params
    seconds: float
    disk_bytes: int


def budget_of(plan: RunPlan) -> Budget:
    """What the stages of `plan` together may use."""
    return Budget(
        memory_bytes=plan.memory_budget_bytes,
        cores=plan.threads,
        stretch_bytes=plan.memory_stretch_bytes,
    )


def forecast(planner: Planner, workspace: Workspace, again: Collection[str]) -> Iterator[Forecast]:
    """The stages of a run in order; `again` are those that it would redo in any case.

    `planner` comes to believe what is foretold: give it one that is used for nothing else.
    """
    plan = planner.plan
    budget = budget_of(plan)
    for stage in planner.stages:
        fingerprint = planner.fingerprint(stage)
        marker = None if stage.name in again else workspace.marker(stage.name, fingerprint)
        if marker is not None and not planner.stands(stage, marker):
            marker = None
        task = planner.task(stage)
        ways = ways_on(task, budget)
        option = ways[0] if ways else task.options[-1]
        params = planner.settings(stage, option.rung).params
        planner.accept(stage, marker or {"fingerprint": fingerprint, "params": params})
        yield Forecast(
            stage=stage,
            skipped=marker is not None,
            option=option,
            fits=bool(ways),
            least_bytes=min(one.memory_bytes for one in task.options if one.rung == option.rung),
            params=params,
            seconds=planner.seconds(stage),
            disk_bytes=planner.disk_bytes(stage),
        )


def check_disk(root: Path, stages: Sequence[Forecast]) -> None:
    """DiskFullError where the disk of `root` cannot hold what the stages will write."""
    needed = sum(told.disk_bytes for told in stages if not told.skipped)
    if stages and not stages[-1].skipped:
        needed += stages[-1].disk_bytes  # results are copies
    there = root
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DiskFullError(
            f"no space for this run on the disk of {root}: it needs about "
            f"{size(needed)}, {size(free)} are free",
            hint="free some space, choose another disk with -o, or use --preset draft",
        )


def dry_run(workspace: Workspace, stages: Sequence[Forecast], send: Listener) -> RunResult:
    """Send RunPlanned for every one of `stages`; write nothing.

    DiskFullError, after that, where the disk is too small.
    """
    summaries = []
    for told in stages:
        stage = told.stage
        send(
            RunPlanned(
                stage=stage.name,
                title=stage.title,
                skipped=told.skipped,
                fits=told.fits,
                threads=told.option.threads,
                predicted_bytes=told.option.memory_bytes,
                predicted_seconds=told.seconds,
                predicted_disk_bytes=told.disk_bytes,
                changes=changes(stage.params, told.params),
            )
        )
        status = SKIPPED if told.skipped else PLANNED
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
