"""What `--roi` takes: auto, off, or a box as six numbers."""

from __future__ import annotations

import math

from insaat_cli.errors import UsageError
from insaat_cli.pipeline import Pipeline

AUTO, OFF = "auto", "off"
PARAMETER = "roi"
"""A stage that can leave out the background has a parameter of this name."""
HINT = "give auto, off, or xmin,ymin,zmin,xmax,ymax,zmax in the units of cameras.json"

Corner = tuple[float, float, float]


def read_box(text: str) -> tuple[Corner, Corner]:
    """Lowest and highest corner of "xmin,ymin,zmin,xmax,ymax,zmax", or UsageError."""
    try:
        x0, y0, z0, x1, y1, z1 = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"the region {text!r} is not a box", hint=HINT) from None
    if not all(map(math.isfinite, (x0, y0, z0, x1, y1, z1))):
        raise UsageError(f"the region {text!r} is not finite", hint=HINT)
    if x0 >= x1 or y0 >= y1 or z0 >= z1:
        raise UsageError(f"the region {text!r} is empty", hint=HINT)
    return (x0, y0, z0), (x1, y1, z1)


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
