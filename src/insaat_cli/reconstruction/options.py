"""What a reconstruction is asked for, and where it writes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.defaults import ALWAYS_WRITTEN, DEFAULT_PRESET
from insaat_cli.planning.deadlines import ONLY_SILENCE, Deadlines

AUTO = "auto"
"""Let the program choose the pipeline."""
OUTPUT_SUFFIX = "-3d"


class Keep(StrEnum):
    """What stays in the workspace after a run that ended well."""

    ALL = "all"
    RESULT = "result"
    """No intermediate files: a later run starts from the photos again."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions:
    """What the user asks for."""

    sources: tuple[Path, ...]
    output: Path | None = None
    """None: beside the photos, see `default_output`."""
    pipeline: str = AUTO
    preset: str = DEFAULT_PRESET
    max_memory: str | None = None
    threads: int | None = None
    """None: as many as the machine lets us use."""
    settings: tuple[str, ...] = ()
    """STAGE.PARAMETER=VALUE."""
    roi: str = AUTO
    """What is kept: auto, off or a box, see `pipeline/region.py`."""
    complete: Completion = Completion.ON
    """Whether plain surfaces are completed and small holes closed."""
    background: Background = Background.AUTO
    """Whether a background that stands still while the subject turns is left out."""
    from_stage: str | None = None
    until_stage: str | None = None
    restart: bool = False
    dry_run: bool = False
    formats: tuple[str, ...] = (ALWAYS_WRITTEN,)
    recursive: bool = False
    masks: Path | None = None
    """A folder of masks, see `photos/masks.py`."""
    degrade: bool = True
    """Whether what does not fit the memory may run with cheaper settings."""
    deadlines: Deadlines = ONLY_SILENCE
    """After which a stage counts as hanging, and the run ends."""
    strict: bool = False
    """Whether a result that is not all that was asked for counts as a failure."""
    keep: Keep = Keep.ALL
    overwrite: bool = False
    """Whether files in the output folder may be replaced that no run made."""
    command: tuple[str, ...] = ()
    """The command line, for the report: how to do it again."""


def output_of(options: ReconstructionOptions) -> Path:
    """Where the results of `options` go."""
    return options.output.absolute() if options.output else default_output(options.sources)


def default_output(sources: tuple[Path, ...]) -> Path:
    """`photos-3d` beside the folder `photos`, or beside the folder of the first file."""
    first = Path(os.path.abspath(sources[0]))  # noqa: PTH100 (".." must go, links must stay)
    folder = first if first.is_dir() else first.parent
    while not folder.exists() and folder != folder.parent:  # a pattern with folders in it
        folder = folder.parent
    return folder.parent / ((folder.name or "photos") + OUTPUT_SUFFIX)
