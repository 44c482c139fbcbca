"""Drawings of the report, as SVG: cameras from above, and where the time went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from insaat_cli.formatting import printable
from insaat_cli.report.markup import Markup, element
from insaat_cli.report.pictures import png
from insaat_cli.report.run_data import Camera

SIDE = 420
"""Of the square drawing, in its own units."""
MARGIN = 34
CAMERA_LENGTH = 22.0
CAMERA_HALF_WIDTH = 9.0


def top_view(cameras: Sequence[Camera], *, plan: Path | None = None, reach: float = 0.0) -> Markup:
    """Cameras seen from above: x to the right, z towards the reader, the subject at the origin.

    `plan` is a square picture of the points behind them, `reach` half its side in world units.
    """
    scale = SIDE / 2 / reach if plan and reach > 0 else _fitting_scale(cameras)
    drawn = png(plan) if plan and reach > 0 else None
    behind = [element("image", href=drawn, width=SIDE, height=SIDE)] if drawn else []
    middle = SIDE / 2
    rings = [
        element("circle", cx=middle, cy=middle, r=round(share * (middle - MARGIN)), class_="ring")
        for share in (0.33, 0.67, 1.0)
    ]
    subject = [
        element("path", d=f"M{middle - 8} {middle}h16M{middle} {middle - 8}v16", class_="subject")
    ]
    shapes = [_camera_shape(camera, scale) for camera in cameras]
    return element(
        "svg",
        *rings,
        *behind,
        *subject,
        *shapes,
        viewBox=f"0 0 {SIDE} {SIDE}",
        role="img",
        aria_label=f"{len(cameras)} cameras seen from above",
        class_="topview",
    )


def _fitting_scale(cameras: Sequence[Camera]) -> float:
    reach = max(
        (max(abs(camera.center[0]), abs(camera.center[2])) for camera in cameras), default=1.0
    )
    return (SIDE / 2 - MARGIN) / (reach if reach > 0 and math.isfinite(reach) else 1.0)


def _camera_shape(camera: Camera, scale: float) -> Markup:
    x = SIDE / 2 + scale * camera.center[0]
    y = SIDE / 2 + scale * camera.center[2]
    dx, dy = camera.forward[0], camera.forward[2]
    length = math.hypot(dx, dy)
    title = element("title", printable(camera.name))
    dot = element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3.2", class_="camera")
    if length < 1e-3:  # looks straight down
        return element("g", title, dot)
    dx, dy = dx / length, dy / length
    reach = CAMERA_LENGTH * min(1.0, length)
    corners = [
        (
            x + reach * dx - side * CAMERA_HALF_WIDTH * dy,
            y + reach * dy + side * CAMERA_HALF_WIDTH * dx,
        )
        for side in (-1, 1)
    ]
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in [(x, y), *corners])
    return element("g", title, element("polygon", points=points, class_="view"), dot)


def share_bar(share: float) -> Markup:
    """A horizontal bar of `share` (0 to 1) of its cell."""
    width = round(100 * min(max(share, 0.0), 1.0), 1)
    return element(
        "svg",
        element("rect", x=0, y=0, width=width, height=6, rx=2, class_="bar"),
        viewBox="0 0 100 6",
        preserveAspectRatio="none",
        aria_hidden="true",
        class_="share",
    )
