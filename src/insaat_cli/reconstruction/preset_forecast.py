"""What a reconstruction would cost with each preset, without doing anything."""

from __future__ import annotations

from dataclasses import dataclass, replace

from insaat_cli.planning.forecast import Forecast, forecast_within_budget
from insaat_cli.planning.history import History
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.reconstruction.options import ReconstructionOptions
from insaat_cli.reconstruction.reconstruct import budget_for, plan_of, prepare
from insaat_cli.runner.events import Listener
from insaat_cli.runner.run import stages_to_redo
from insaat_cli.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class PresetForecast:
    """One preset: every stage as it would run, results of earlier runs left aside."""

    preset: str
    plan: RunPlan
    stages: tuple[Forecast, ...]

    @property
    def fits(self) -> bool:
        return all(one.fits for one in self.stages)

    @property
    def peak_bytes(self) -> int:
        return max((one.option.memory_bytes for one in self.stages), default=0)

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.stages)

    @property
    def disk_bytes(self) -> int:
        """Of the whole workspace, results included."""
        results = self.stages[-1].disk_bytes if self.stages else 0
        return sum(one.disk_bytes for one in self.stages) + results


def forecast_presets(
    options: ReconstructionOptions, listener: Listener
) -> dict[str, PresetForecast]:
    """By preset, the one asked for first. Raises InsaatError as a run would."""
    budget = budget_for(options)
    chosen = prepare(options, listener, budget, to_run=False)
    presets = [options.preset, *chosen.plan.pipeline.presets]
    found: dict[str, PresetForecast] = {}
    history = History()
    for preset in dict.fromkeys(presets):
        plan = plan_of(replace(options, preset=preset, restart=True), chosen.photos, budget)
        workspace = Workspace(plan.workspace)
        _, stages = forecast_within_budget(plan, history, workspace, stages_to_redo(plan))
        found[preset] = PresetForecast(preset=preset, plan=plan, stages=tuple(stages))
    return found
