"""What a pipeline is: frozen stages with their parameters, needs, models and ladders.

`pipeline_file.py` reads one from YAML; here are the immutable objects, where to find the shipped
ones, and how presets and settings change them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from insaat_cli.errors import Fault, UsageError
from insaat_cli.parameters import Parameter, Params, ParamValue
from insaat_cli.region_option import AUTO, OFF, PARAMETER, read_box
from insaat_cli.wording import suggestion

THREADS_KEY = "threads"
"""In a ladder: the number of threads, not a parameter of the stage."""
FORMATS_PARAMETER = "formats"
"""Of the stage that writes the results: the formats of the model, with commas between them."""
SWITCH = "enabled"
"""The parameter of a stage that can be left out."""
MEMORY_KEY = "memory"
"""In a ladder: the share of the predicted memory that is left, where the model cannot know it."""


@dataclass(frozen=True)
class Multiplier:
    """A ladder value relative to the parameter's setting: "* 0.7"."""

    factor: float

    def __post_init__(self) -> None:
        if not 0 < self.factor < float("inf"):
            raise ValueError(f"a parameter cannot be multiplied by {self.factor}")

    def apply(self, value: ParamValue) -> ParamValue:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        scaled = value * self.factor
        return max(1, round(scaled)) if isinstance(value, int) else scaled


Rung = Mapping[str, ParamValue | Multiplier]
Ladder = tuple[Rung, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryModel:
    """Predicted peak of a stage in MB, linear in what the photos are.

    Megapixels are those of one photo at the size at which the stage works on it.
    """

    base_mb: float = 0.0
    per_photo_mb: float = 0.0
    per_megapixel_mb: float = 0.0
    per_photo_megapixel_mb: float = 0.0
    """For each megapixel of all photos together."""
    per_thread_mb: float = 0.0
    per_thread_megapixel_mb: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TimeModel:
    """Predicted duration of a stage in seconds on two cores."""

    base_s: float = 1.0
    per_photo_s: float = 0.0
    per_photo_megapixel_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DiskModel:
    """Predicted size of a stage's outputs in MB."""

    base_mb: float = 0.0
    per_photo_mb: float = 0.0
    per_photo_megapixel_mb: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Threads:
    """`maximum` None: as many as the run has. `memory_bound`: fewer threads need less memory."""

    maximum: int | None = None
    memory_bound: bool = False


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A value that must hold after a stage: a metric of result.json, or the size of a file."""

    metric: str | None = None
    file: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    fault: Fault = Fault.STAGE
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A program that must be on PATH; `version` is the oldest that works, "" is any."""

    program: str
    version: str = ""
    arguments: tuple[str, ...] = ("--version",)
    """What makes it print its version."""
    hint: str = ""
    without: str = ""
    """A Python package that makes the program needless where it is installed."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step that runs as a subprocess: a Python module (`run`) or a program (`command`)."""

    name: str
    title: str
    run: str | None = None
    command: tuple[str, ...] | None = None
    version: int = 1
    needs: tuple[str, ...] = ()
    params: Params = field(default_factory=dict)
    described: Mapping[str, Parameter] = field(default_factory=dict)
    """What the values of `params` may be, as far as it was said."""
    outputs: tuple[str, ...] = ()
    memory: MemoryModel = MemoryModel()
    time: TimeModel = TimeModel()
    disk: DiskModel = DiskModel()
    threads: Threads = Threads()
    size_from: str | None = None
    """The stage whose `max_side` says at which size this one works, where it has none itself."""
    expect: tuple[Expectation, ...] = ()
    on_memory: Ladder = ()
    on_failure: Ladder = ()

    def parameter(self, name: str) -> Parameter:
        """What the parameter `name` may be; where nothing was said, what is like its value."""
        return self.described.get(name) or Parameter.like(self.params[name])


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """An ordered list of stages; every stage stands after those that it needs."""

    name: str
    summary: str
    source: str
    """The file it was read from."""
    requires: tuple[Requirement, ...] = ()
    presets: Mapping[str, Mapping[str, Params]] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()

    def stage(self, name: str) -> Stage:
        for stage in self.stages:
            if stage.name == name:
                return stage
        names = [stage.name for stage in self.stages]
        raise UsageError(
            f"pipeline {self.name} has no stage {name!r}", hint=suggestion(name, names)
        )

    def dependants(self, name: str) -> frozenset[str]:
        """`name` and every stage that needs it, directly or not."""
        found = {name}
        for stage in self.stages:
            if found.intersection(stage.needs):
                found.add(stage.name)
        return frozenset(found)


def with_preset(pipeline: Pipeline, preset: str) -> Pipeline:
    """`pipeline` with the parameters of `preset`."""
    if preset not in pipeline.presets:
        raise UsageError(
            f"pipeline {pipeline.name} has no preset {preset!r}",
            hint=suggestion(preset, pipeline.presets),
        )
    return _with_params(pipeline, pipeline.presets[preset])


def with_settings(pipeline: Pipeline, settings: Sequence[str]) -> Pipeline:
    """`pipeline` with "STAGE.PARAMETER=VALUE" settings.

    Raises UsageError for a setting of nothing, or outside of what its parameter may be.
    """
    changes: dict[str, dict[str, ParamValue]] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        stage_name, dot, param = key.strip().partition(".")
        if not equals or not dot:
            raise UsageError(
                f"cannot read the setting {setting!r}",
                hint="write it as STAGE.PARAMETER=VALUE, for example dense.max_side=1600",
            )
        stage = pipeline.stage(stage_name)
        if param not in stage.params:
            raise UsageError(
                f"stage {stage_name} has no parameter {param!r}",
                hint=suggestion(param, stage.params) if stage.params else "it has none at all",
            )
        value = stage.parameter(param).parsed(f"{stage_name}.{param}", text.strip())
        changes.setdefault(stage_name, {})[param] = value
    return _with_params(pipeline, changes)


def region_settings(pipeline: Pipeline, choice: str) -> tuple[str, ...]:
    """The settings that `--roi choice` stands for, STAGE.PARAMETER=VALUE.

    Raises UsageError for a text that is no choice, and where no stage of `pipeline` can do it.
    """
    if choice not in (AUTO, OFF):
        low, high = read_box(choice)
        choice = ",".join(f"{value:.6f}" for value in (*low, *high))
    stages = [stage.name for stage in pipeline.stages if PARAMETER in stage.params]
    if not stages and choice not in (AUTO, OFF):
        raise UsageError(
            f"pipeline {pipeline.name} cannot leave out what is outside a region",
            hint="--pipeline embedded can; or cut the model in another program",
        )
    # The default is left to the pipeline file, and to --set.
    return () if choice == AUTO else tuple(f"{name}.{PARAMETER}={choice}" for name in stages)


def climb(stage: Stage, ladder: Ladder, rungs: int, params: Params) -> tuple[Params, int | None]:
    """`params` and the number of threads (None: unchanged) after the first `rungs` rungs.

    A rung keeps what the rungs before it set; a multiplier is relative to `params` themselves, and
    leads to the end of the parameter's range at most.
    """
    changed = dict(params)
    threads: int | None = None
    for rung in ladder[:rungs]:
        for key, value in rung.items():
            if key == THREADS_KEY and isinstance(value, int):
                threads = value
            elif key == MEMORY_KEY and key not in params:
                continue
            elif isinstance(value, Multiplier):
                changed[key] = stage.parameter(key).clamped(value.apply(params[key]))
            else:
                changed[key] = value
    return changed, threads


def idle(params: Params) -> bool:
    """Whether a stage with these parameters only hands on what it reads: `enabled` is false."""
    return params.get(SWITCH) is False


def memory_share(ladder: Ladder, rungs: int) -> float:
    """What the first `rungs` rungs leave of the predicted memory, beyond what the model knows."""
    share = 1.0
    for rung in ladder[:rungs]:
        value = rung.get(MEMORY_KEY)
        share = value.factor if isinstance(value, Multiplier) else share
    return share


def _with_params(pipeline: Pipeline, changes: Mapping[str, Params]) -> Pipeline:
    stages = [
        replace(stage, params={**stage.params, **changes.get(stage.name, {})})
        for stage in pipeline.stages
    ]
    return replace(pipeline, stages=tuple(stages))
