"""What one run is asked to do, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from insaat_cli.pipeline.definition import FORMATS_PARAMETER, Pipeline
from insaat_cli.planning.deadlines import ONLY_SILENCE, Deadlines
from insaat_cli.planning.scheduler import Budget

ENDINGS_OF = {"obj": ("obj", "mtl", "jpg")}
"""Of formats that are more than one file."""


class PhotoFacts(Protocol):
    """What the runner reads of a photo; `photos.Photo` has it."""

    @property
    def name(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    def to_json(self) -> dict[str, Any]: ...


class LeftOutFacts(Protocol):
    """A file that is not used, and why; `photos.LeftOut` has it."""

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """One execution of a pipeline in a workspace."""

    pipeline: Pipeline
    """Preset and settings already applied."""
    preset: str
    usual: Pipeline | None = None
    """The same with the preset alone: `pipeline` differs from it by what the user has set."""
    photos: tuple[PhotoFacts, ...]
    left_out: tuple[LeftOutFacts, ...] = ()
    masks: tuple[tuple[str, str], ...] = ()
    """Names of photos that have a mask, and the masks' SHA-256 sums."""
    workspace: Path
    memory_budget_bytes: int
    memory_stretch_bytes: int = 0
    """What one stage may use, alone, where even its cheapest way does not fit the budget."""
    threads: int
    from_stage: str | None = None
    """Do this stage and all that depends on it again."""
    until_stage: str | None = None
    """Stop after this stage, in the order of the pipeline file."""
    restart: bool = False
    """Do every stage again."""
    dry_run: bool = False
    """Send RunPlanned for every stage; write nothing."""
    degrade: bool = True
    """Whether a stage that does not fit the budget may run with cheaper settings."""
    deadlines: Deadlines = ONLY_SILENCE
    results: tuple[str, ...] = ()
    """Files of the last stage to put at the top of the workspace; () is all of them."""
    overwrite: bool = False
    """Whether files of the results' names may be replaced that no run made."""

    @property
    def budget(self) -> Budget:
        """What its stages together may use."""
        return Budget(
            memory_bytes=self.memory_budget_bytes,
            cores=self.threads,
            stretch_bytes=self.memory_stretch_bytes,
        )


def foreseen_results(pipeline: Pipeline) -> tuple[str, ...]:
    """The files that will stand at the top of the workspace, as far as the pipeline says so."""
    last = pipeline.stages[-1]
    names = [Path(name).name for name in last.outputs]
    for kind in str(last.params.get(FORMATS_PARAMETER) or "").split(","):
        names += [f"model.{ending}" for ending in ENDINGS_OF.get(kind.strip(), (kind.strip(),))]
    return tuple(dict.fromkeys(name for name in names if name != "model."))


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What it took. Where a run found everything done, that is what the run took that did it."""

    seconds: float
    peak_bytes: int
    run: str
    """See `workspace/results.py`."""
    started: str
    """When that run started, UTC; "" where no record says so."""
    reused: bool = False
