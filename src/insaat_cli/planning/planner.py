"""From a plan to what the scheduler and the board need: stages, options, predictions, skips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from insaat_cli.errors import UsageError
from insaat_cli.pipeline.definition import Stage
from insaat_cli.pipeline.fingerprint import (
    photos_fingerprint,
    request_fingerprint,
    stage_fingerprint,
    stage_identity,
)
from insaat_cli.pipeline.parameters import Params
from insaat_cli.pipeline.settings import climb, idle, memory_share
from insaat_cli.planning.cost_models import (
    Correction,
    Workload,
    predicted_bytes,
    predicted_disk_bytes,
    predicted_seconds,
    working_side,
    workload,
)
from insaat_cli.planning.history import History, Measurement, correction, stage_key
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.planning.scheduler import Option, Task, TaskKey

UNCORRECTED = Correction()
IDLE_BYTES, IDLE_SECONDS = 150_000_000, 0.6
"""What a stage takes that is left out."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A stage as it would run: `threads` is the most it may use."""

    params: Params
    threads: int


class Planner:
    """What is known about the stages of one run. Changes only as the run goes on."""

    def __init__(self, plan: RunPlan, history: History, run: int = 0) -> None:
        self.plan = plan
        self.run = run
        """Tells its tasks from those of the runs beside it."""
        self.pipeline = plan.pipeline
        self.history = history
        self.stages = _selected(plan)
        self.params: dict[str, Params] = {s.name: s.params for s in self.pipeline.stages}
        """In force, by stage: those lowered while the run went on, too."""
        self.failure_rung = dict.fromkeys(self.params, 0)
        self.min_rung = dict.fromkeys(self.params, 0)
        """Of `on_memory`, from which a stage starts, so that what later ones need fits."""
        self.identities: dict[str, str] = {}
        """Of the results that stand published, by stage."""
        self._sizes = [(photo.width, photo.height) for photo in plan.photos]
        contents = [(photo.name, photo.sha256) for photo in plan.photos]
        self._photos = photos_fingerprint([*contents, *plan.masks])
        self._raised: dict[str, float] = {}
        """By stage: what it needed above its prediction in this very run."""
        self._measured: dict[str, list[Measurement]] = {}
        self.learn()

    def learn(self) -> None:
        """Read what this machine has measured so far, to correct the models by it."""
        measured = self.history.read()
        self._measured = {
            stage.name: [_modelled(stage, entry) for entry in measured.get(self.key(stage), [])]
            for stage in self.stages
        }

    def correction(self, stage: Stage) -> Correction:
        """For the photos as `stage` would see them now; so it follows the settings in force."""
        load = self.load(stage, self.params[stage.name])
        learned = correction(self._measured[stage.name], load, self._photos)
        least = self._raised.get(stage.name, 0.0)
        return replace(learned, memory=max(learned.memory, least))

    def key(self, stage: Stage) -> str:
        return stage_key(self.pipeline.name, stage.name, stage.version)

    def load(self, stage: Stage, params: Params) -> Workload:
        """The photos at the size at which `stage` would see them."""
        in_force = {**self.params, stage.name: params}
        return workload(self._sizes, working_side(self.pipeline, stage, in_force))

    def settings(self, stage: Stage, memory_rung: int) -> Settings:
        """Parameters and threads on a rung of `on_memory`, after what `on_failure` has changed."""
        threads = min(self.plan.threads, stage.threads.maximum or self.plan.threads)
        params, fewer = climb(stage, stage.on_failure, self.failure_rung[stage.name], stage.params)
        threads = min(threads, fewer or threads)
        params, fewer = climb(stage, stage.on_memory, memory_rung, params)
        return Settings(params=params, threads=min(threads, fewer or threads))

    def options(self, stage: Stage, first_rung: int = 0) -> tuple[Option, ...]:
        """All ways to run `stage` from `first_rung` of its `on_memory` ladder on."""
        first_rung = max(first_rung, self.min_rung[stage.name])
        last = len(stage.on_memory) if self.plan.degrade else 0
        known = self.correction(stage)
        found = []
        for rung in range(first_rung, max(last, first_rung) + 1):
            settings = self.settings(stage, rung)
            if idle(settings.params):
                found.append(Option(rung=rung, threads=1, memory_bytes=IDLE_BYTES))
                continue
            load = self.load(stage, settings.params)
            share = memory_share(stage.on_memory, rung)
            fix = replace(known, memory=known.memory * share)
            for threads in range(settings.threads, 0, -1):
                need = predicted_bytes(stage, threads, load, fix)
                found.append(Option(rung=rung, threads=threads, memory_bytes=need))
        return tuple(found)

    def task(self, stage: Stage, first_rung: int = 0) -> Task[TaskKey]:
        selected = {other.name for other in self.stages}
        needs = [need for need in stage.needs if need in selected]
        return Task(
            key=TaskKey(run=self.run, stage=stage.name),
            needs=frozenset(TaskKey(run=self.run, stage=need) for need in needs),
            options=self.options(stage, first_rung),
        )

    def next_rung(self, stage: Stage, option: Option) -> int | None:
        """The first cheaper rung that differs from what ran out of memory; None: there is none."""
        if not self.plan.degrade:
            return None
        tried = replace(self.settings(stage, option.rung), threads=option.threads)
        for rung in range(option.rung + 1, len(stage.on_memory) + 1):
            settings = self.settings(stage, rung)
            if (settings.params, min(settings.threads, tried.threads)) != (
                tried.params,
                tried.threads,
            ):
                return rung
        return None

    def seconds(self, stage: Stage) -> float:
        """Predicted duration with the settings in force."""
        if idle(self.params[stage.name]):
            return IDLE_SECONDS
        load = self.load(stage, self.params[stage.name])
        return predicted_seconds(stage, load, self.correction(stage))

    def disk_bytes(self, stage: Stage) -> int:
        """Predicted size of its outputs with the settings in force."""
        return predicted_disk_bytes(stage, self.load(stage, self.params[stage.name]))

    def correct(self, stage: Stage, option: Option, peak_bytes: int) -> None:
        """`stage` went above its prediction: predict at least that much from now on."""
        if peak_bytes > option.memory_bytes > 0:
            known = self.correction(stage).memory
            self._raised[stage.name] = known * peak_bytes / option.memory_bytes

    def remember(
        self, stage: Stage, params: Params, option: Option, seconds: float, peak: int
    ) -> None:
        """Add a finished stage to the history of this machine, if it did its work."""
        if idle(params):
            return
        load, threads = self.load(stage, params), option.threads
        measurement = Measurement(
            photos=load.photos,
            megapixels=load.mean_megapixels,
            model_bytes=predicted_bytes(stage, threads, load, UNCORRECTED),
            peak_bytes=peak,
            model_seconds=predicted_seconds(stage, load, UNCORRECTED),
            seconds=seconds,
            threads=threads,
            memory_share=memory_share(stage.on_memory, option.rung),
            photo_set=self._photos,
        )
        self.history.add(self.key(stage), measurement)

    @property
    def request(self) -> str:
        """The fingerprint of what is asked for, photos and settings."""
        return request_fingerprint(self.pipeline, self._photos)

    def fingerprint(self, stage: Stage) -> str:
        """Needs the identities of all stages that `stage` needs."""
        return stage_fingerprint(stage, self.identities, self._photos)

    def stands(self, stage: Stage, marker: Mapping[str, Any]) -> bool:
        """Whether a published result is small enough for what comes after it."""
        least = self.min_rung[stage.name]
        rungs = range(least, len(stage.on_memory) + 1)
        made = marker.get("params", dict(stage.params))
        return least == 0 or any(made == self.settings(stage, rung).params for rung in rungs)

    def accept(self, stage: Stage, marker: Mapping[str, Any]) -> None:
        """The published result of `stage` is what later stages will read."""
        params = marker.get("params", dict(stage.params))
        self.params[stage.name] = params
        self.identities[stage.name] = stage_identity(marker["fingerprint"], params)


def _modelled(stage: Stage, measured: Measurement) -> Measurement:
    """`measured` beside what today's models of `stage` say; they change with the program."""
    load = Workload(
        photos=measured.photos,
        largest_megapixels=measured.megapixels,
        mean_megapixels=measured.megapixels,
    )
    model_bytes = predicted_bytes(stage, measured.threads, load, UNCORRECTED)
    return replace(
        measured,
        model_bytes=int(model_bytes * measured.memory_share),
        model_seconds=predicted_seconds(stage, load, UNCORRECTED),
    )


def _selected(plan: RunPlan) -> tuple[Stage, ...]:
    """The stages of this run; an unknown name in the plan is a UsageError."""
    names = [stage.name for stage in plan.pipeline.stages]
    first = names.index(plan.pipeline.stage(plan.from_stage).name) if plan.from_stage else 0
    last = names.index(plan.pipeline.stage(plan.until_stage or names[-1]).name)
    if first > last:
        raise UsageError(f"--from {plan.from_stage} comes after --until {plan.until_stage}")
    return plan.pipeline.stages[: last + 1]


def changes(before: Params, after: Params) -> dict[str, Any]:
    """The parameters that differ, with their new values."""
    return {name: value for name, value in after.items() if before.get(name) != value}
