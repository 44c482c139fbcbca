"""How much memory a run that was refused would need, and only where that much would do.

What a stage needs says little about that. With its need as the budget, others would not fit, and
those that fit would do so with cheaper settings. So whole runs are planned, with larger budgets.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from insaat_cli.formatting import size
from insaat_cli.planning.forecast import forecast_stages, forecast_within_budget
from insaat_cli.planning.history import History
from insaat_cli.planning.planner import Planner
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.workspace.workspace import Workspace

MEGABYTE = 1_000_000
STEP_MB = 10
"""Budgets are named in such steps: predictions are no finer."""
DRAFT = "draft"


@dataclass(frozen=True, kw_only=True)
class EnoughMemory:
    """Budgets, MB, with which the same run would start, and not be refused later."""

    unchanged_mb: int
    """Every stage runs as asked."""
    lowered_mb: int
    """The least, with cheaper settings; as much as above where there are none that help."""
    smaller_photos: str
    """How to work on smaller photos than asked for."""

    def hint(self, limit_bytes: int) -> str:
        """What to try on a machine that has `limit_bytes`."""
        limit_mb = limit_bytes // MEGABYTE
        if self.lowered_mb > limit_mb:
            return f"{self.smaller_photos}, or a machine with more memory: {self._needs()}"
        enough = f"--max-memory {self.lowered_mb}M is enough"
        if self.lowered_mb < self.unchanged_mb:
            enough += f" with less detail, {self.unchanged_mb}M with full detail"
        if self.unchanged_mb > limit_mb:
            enough += f" (this machine has {size(limit_bytes)})"
        return f"{enough}; or {self.smaller_photos}"

    def _needs(self) -> str:
        if self.lowered_mb == self.unchanged_mb:
            return f"it needs {self.unchanged_mb}M"
        return (
            f"it needs {self.lowered_mb}M with less detail, {self.unchanged_mb}M with full detail"
        )


def enough_memory(
    plan: RunPlan, history: History, workspace: Workspace, again: Collection[str]
) -> EnoughMemory:
    """Budgets that would do for a `plan` that does not fit its own; `again` are stages to redo."""
    unchanged = _unchanged_mb(plan, history, workspace, again)
    refused, enough = plan.memory_budget_bytes // (STEP_MB * MEGABYTE), unchanged // STEP_MB
    # Down to the least budget that still does; larger ones do as well, by the way that ladders are.
    while plan.degrade and enough - refused > 1:
        middle = (refused + enough) // 2
        tried = _with_budget(plan, middle * STEP_MB)
        _, stages = forecast_within_budget(tried, history, workspace, again)
        if all(one.fits or one.skipped for one in stages):
            enough = middle
        else:
            refused = middle
    return EnoughMemory(
        unchanged_mb=unchanged, lowered_mb=enough * STEP_MB, smaller_photos=_smaller_photos(plan)
    )


def _smaller_photos(plan: RunPlan) -> str:
    if plan.preset != DRAFT:
        return f"use smaller photos (--preset {DRAFT})"
    first = plan.pipeline.stages[0]
    side = first.params.get("max_side")
    if not isinstance(side, int):
        return "use fewer or smaller photos"
    return f"use smaller photos (--set {first.name}.max_side={side // 2})"


def _unchanged_mb(
    plan: RunPlan, history: History, workspace: Workspace, again: Collection[str]
) -> int:
    """What the largest stage needs with the settings that were asked for, on one thread."""
    planner = Planner(replace(plan, degrade=False), history)
    stages = list(forecast_stages(planner, workspace, again))
    least = max(one.min_bytes for one in stages if not one.skipped)
    return -(-least // (STEP_MB * MEGABYTE)) * STEP_MB


def _with_budget(plan: RunPlan, budget_mb: int) -> RunPlan:
    return replace(plan, memory_budget_bytes=budget_mb * MEGABYTE, memory_stretch_bytes=0)
