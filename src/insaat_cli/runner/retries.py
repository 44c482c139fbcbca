"""Whether and how a stage that ended badly is tried again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from insaat_cli.pipeline.definition import THREADS_KEY, Stage
from insaat_cli.pipeline.parameters import Params
from insaat_cli.planning.planner import Planner, changes
from insaat_cli.planning.scheduler import Option, Task, TaskKey, ways_on
from insaat_cli.runner.failure_diagnosis import Remedy

GROWTH = 1.25
"""A stage that was stopped would have grown on: predict this much more than it had."""
MAX_STOPS = 5


@dataclass(frozen=True, kw_only=True)
class Retry:
    task: Task[TaskKey]
    changes: dict[str, Any]
    """Settings that differ from the attempt before; {} is the same once more."""


class Retries:
    """Remembers, for one run, what was tried."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self._repeated: set[str] = set()
        self._stops: Counter[str] = Counter()

    def after(self, stage: Stage, option: Option, remedy: Remedy, peak_bytes: int) -> Retry | None:
        """The next attempt after one with `option`; None: all has been tried."""
        rung: int | None = option.rung
        before = self.planner.settings(stage, option.rung).params
        if remedy is Remedy.SAME and stage.name not in self._repeated:
            self._repeated.add(stage.name)
        elif remedy is Remedy.OTHER:
            if self.planner.failure_rung[stage.name] >= len(stage.on_failure):
                return None
            self.planner.failure_rung[stage.name] += 1
        elif remedy in (Remedy.SAME, Remedy.CHEAPER):
            self.planner.correct(stage, option, peak_bytes)
            rung = self.planner.next_rung(stage, option)
        else:
            return None
        return None if rung is None else self._retry(stage, option, before, self._fit(stage, rung))

    def stopped(
        self, stage: Stage, option: Option, peak_bytes: int, *, alone: bool
    ) -> Retry | None:
        """The next attempt after the watch has ended one; None: all has been tried.

        The same again, alone, where it was not alone yet; else with less.
        """
        self._stops[stage.name] += 1
        before = self.planner.settings(stage, option.rung).params
        innocent = peak_bytes <= option.memory_bytes  # others left too little
        if not innocent:
            self.planner.correct(stage, option, int(peak_bytes * GROWTH))
        first_time = (innocent or not alone) and self._stops[stage.name] <= MAX_STOPS
        cheaper = self.planner.next_rung(stage, option)
        task = self.planner.task(stage, option.rung)
        if first_time and (cheaper is None or self._fits(task)):
            task = self._fit(stage, option.rung)
        elif cheaper is not None:
            task = self._fit(stage, cheaper)
        else:
            return None
        return self._retry(stage, option, before, replace(task, alone=not innocent))

    def _fits(self, task: Task[TaskKey]) -> bool:
        return bool(ways_on(task, self.planner.plan.budget))

    def _fit(self, stage: Stage, rung: int) -> Task[TaskKey]:
        """`stage` from `rung` on, alone and with the whole budget where it should not fit at all.

        It went far above its prediction once: what it takes on a lower rung is a guess, and worth
        a try before giving up.
        """
        task = self.planner.task(stage, rung)
        if self._fits(task):
            return task
        most = self.planner.plan.memory_budget_bytes
        options = [replace(o, memory_bytes=min(o.memory_bytes, most)) for o in task.options]
        return replace(task, options=tuple(options), alone=True)

    def _retry(self, stage: Stage, option: Option, before: Params, task: Task[TaskKey]) -> Retry:
        settings = self.planner.settings(stage, task.options[0].rung)
        changed = changes(before, settings.params)
        if settings.threads < option.threads:
            changed[THREADS_KEY] = settings.threads
        return Retry(task=task, changes=changed)
