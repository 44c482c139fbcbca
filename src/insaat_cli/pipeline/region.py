"""What `--roi` takes: auto, off, or a box as six numbers."""

from __future__ import annotations

import math

from insaat_cli.errors import UsageError

AUTO, OFF = "auto", "off"
PARAMETER = "roi"
"""A stage that can leave out the background has a parameter of this name."""
FRAME = (
    "xmin,ymin,zmin,xmax,ymax,zmax in the frame of cameras.json and model.glb: Y up, the subject "
    "over the origin, ground at y = 0; in metres if the photos have GPS, else the subject is 2 "
    "units large"
)
HINT = f"use auto, off, or a box: {FRAME}"

Corner = tuple[float, float, float]


def read_box(text: str) -> tuple[Corner, Corner]:
    """Lowest and highest corner of "xmin,ymin,zmin,xmax,ymax,zmax", or UsageError."""
    try:
        x0, y0, z0, x1, y1, z1 = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"invalid region {text!r}", hint=HINT) from None
    if not all(map(math.isfinite, (x0, y0, z0, x1, y1, z1))):
        raise UsageError(f"region {text!r} is not finite", hint=HINT)
    if x0 >= x1 or y0 >= y1 or z0 >= z1:
        raise UsageError(
            f"region {text!r} is empty: each minimum must be below its maximum", hint=HINT
        )
    return (x0, y0, z0), (x1, y1, z1)
