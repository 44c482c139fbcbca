"""Settings of early stages that must be lowered so that later ones fit the budget.

A stage that reads depth maps cannot make them smaller itself; but what it needs follows from the
size at which the stages before it work. So where even its cheapest way does not fit, the stages
before it go down their own ladders, the nearest first.
"""

from __future__ import annotations

from collections.abc import Collection

from insaat_cli.forecast import Forecast, forecast
from insaat_cli.history import History
from insaat_cli.pipeline import Pipeline, Stage
from insaat_cli.planning import Planner
from insaat_cli.prediction import SIZE_PARAMETER
from insaat_cli.run_plan import RunPlan
from insaat_cli.workspace import Workspace


def fitted(
    plan: RunPlan, history: History, workspace: Workspace, again: Collection[str]
) -> tuple[dict[str, int], list[Forecast]]:
    """The least rung of each stage's ladder that lets all stages fit, and what then is foretold.

    Where nothing helps, no rung is lowered: full settings are what a refusal should be about.
    """
    rungs = {stage.name: 0 for stage in plan.pipeline.stages}
    full = told = _forecast(plan, history, workspace, again, rungs)
    while short := _short(told):
        if not plan.degrade or not _lower(plan.pipeline, short[0].stage, rungs):
            return dict.fromkeys(rungs, 0), full
        told = _forecast(plan, history, workspace, again, rungs)
    return rungs, told


def _forecast(
    plan: RunPlan,
    history: History,
    workspace: Workspace,
    again: Collection[str],
    rungs: dict[str, int],
) -> list[Forecast]:
    planner = Planner(plan, history)
    planner.least_rung |= rungs
    return list(forecast(planner, workspace, again))


def _short(told: list[Forecast]) -> list[Forecast]:
    return [one for one in told if not (one.fits or one.skipped)]


def _lower(pipeline: Pipeline, stage: Stage, rungs: dict[str, int]) -> bool:
    """Lower the nearest stage before `stage` that decides about sizes; False: none is left."""
    before = [other for other in pipeline.stages if stage.name in pipeline.dependants(other.name)]
    for other in reversed(before):
        for rung in range(rungs[other.name] + 1, len(other.on_memory) + 1):
            if other.name != stage.name and SIZE_PARAMETER in other.on_memory[rung - 1]:
                rungs[other.name] = rung
                return True
    return False
