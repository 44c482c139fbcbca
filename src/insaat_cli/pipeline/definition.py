"""What a pipeline is: frozen stages with their parameters, needs, models and ladders.

`loader.py` reads one from YAML; `settings.py` says how presets and settings change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from insaat_cli.errors import Fault, UsageError
from insaat_cli.formatting import suggestion
from insaat_cli.pipeline.parameters import Parameter, Params, ParamValue

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
    """How many threads a stage uses. `maximum` None: as many as the run has."""

    maximum: int | None = None


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
            f"pipeline {self.name}: unknown stage {name!r}", hint=suggestion(name, names)
        )

    def dependants(self, name: str) -> frozenset[str]:
        """`name` and every stage that needs it, directly or not."""
        found = {name}
        for stage in self.stages:
            if found.intersection(stage.needs):
                found.add(stage.name)
        return frozenset(found)
