"""What a run would do, stage by stage; and what must be lowered so that all stages fit the budget.

A stage that reads depth maps cannot make them smaller itself; but what it needs follows from the
size at which the stages before it work. So where even its cheapest way does not fit, the stages
before it go down their own ladders, the nearest first.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import DiskFullError
from insaat_cli.formatting import size
from insaat_cli.pipeline.definition import Pipeline, Stage
from insaat_cli.pipeline.parameters import Params
from insaat_cli.planning.cost_models import SIZE_PARAMETER
from insaat_cli.planning.history import History
from insaat_cli.planning.planner import Planner
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.planning.scheduler import Option, ways_on
from insaat_cli.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """One stage as it would go if the machine were idle."""

    stage: Stage
    skipped: bool
    option: Option
    """How it would run; where nothing fits the budget, its cheapest way."""
    fits: bool
    min_bytes: int
    """With the same settings, on as few threads as it takes."""
    params: Params
    seconds: float
    disk_bytes: int


def forecast_stages(
    planner: Planner, workspace: Workspace, again: Collection[str]
) -> Iterator[Forecast]:
    """The stages of a run in order; `again` are those that it would redo in any case.

    `planner` comes to believe what is predicted: give it one that is used for nothing else.
    """
    plan = planner.plan
    budget = plan.budget
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
            min_bytes=min(one.memory_bytes for one in task.options if one.rung == option.rung),
            params=params,
            seconds=planner.seconds(stage),
            disk_bytes=planner.disk_bytes(stage),
        )


def check_disk(root: Path, stages: Sequence[Forecast]) -> None:
    """DiskFullError where the disk of `root` cannot hold what the stages will write."""
    needed = sum(one.disk_bytes for one in stages if not one.skipped)
    if stages and not stages[-1].skipped:
        needed += stages[-1].disk_bytes  # results are copies
    there = root
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DiskFullError(
            f"not enough disk space for this run at {root}: about "
            f"{size(needed)} needed, {size(free)} free",
            hint="free some space, choose another disk with -o, or use smaller photos",
        )


def forecast_within_budget(
    plan: RunPlan, history: History, workspace: Workspace, again: Collection[str]
) -> tuple[dict[str, int], list[Forecast]]:
    """The least rung of each stage's ladder that lets all stages fit, and the forecast with it.

    Where nothing helps, no rung is lowered: full settings are what a refusal should be about.
    """
    rungs = {stage.name: 0 for stage in plan.pipeline.stages}
    full = stages = _forecast(plan, history, workspace, again, rungs)
    while short := _short(stages):
        if not plan.degrade or not _lower(plan.pipeline, short[0].stage, rungs):
            return dict.fromkeys(rungs, 0), full
        stages = _forecast(plan, history, workspace, again, rungs)
    return rungs, stages


def _forecast(
    plan: RunPlan,
    history: History,
    workspace: Workspace,
    again: Collection[str],
    rungs: dict[str, int],
) -> list[Forecast]:
    planner = Planner(plan, history)
    planner.min_rung |= rungs
    return list(forecast_stages(planner, workspace, again))


def _short(stages: list[Forecast]) -> list[Forecast]:
    return [one for one in stages if not (one.fits or one.skipped)]


def _lower(pipeline: Pipeline, stage: Stage, rungs: dict[str, int]) -> bool:
    """Lower the nearest stage before `stage` that decides about sizes; False: none is left."""
    before = [other for other in pipeline.stages if stage.name in pipeline.dependants(other.name)]
    for other in reversed(before):
        for rung in range(rungs[other.name] + 1, len(other.on_memory) + 1):
            if other.name != stage.name and SIZE_PARAMETER in other.on_memory[rung - 1]:
                rungs[other.name] = rung
                return True
    return False
