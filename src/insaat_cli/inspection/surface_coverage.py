"""The sides of a subject as people name them, and what of it few photos saw.

Front is where most photos were taken from: the first picture of the preview. Left is what lies to
the left there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.render.coverage import Surface, in_focus
from insaat_cli.engine.scene.optical_axes import Focus

Floats = NDArray[np.float64]

TOP_NORMAL_Y = 0.75
UNDER_NORMAL_Y = -0.5
FEW_PHOTOS = 2
"""Seen by no more, depth has no witness."""
QUARTER_SIDES = 4
THIRDS_PERCENT = (33.3, 66.7)


class Side(StrEnum):
    """A part of the subject."""

    FRONT = "front"
    RIGHT = "right"
    BACK = "back"
    LEFT = "left"
    TOP = "top"
    MIDDLE = "middle"


AROUND = (Side.FRONT, Side.RIGHT, Side.BACK, Side.LEFT)
"""By quarter turns, anticlockwise seen from above."""
ACROSS = (Side.LEFT, Side.MIDDLE, Side.RIGHT)


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How many photos saw how much of the surface; shares of its area."""

    photos: int
    """That were looked through."""
    seen_by: Mapping[str, float]
    """Share of the surface by number of photos that see it: "0", "1", "2", "3-4", "5-8", "9+"."""
    few_of: Mapping[Side, float]
    """Share of each side that at most two photos saw."""
    weight_of: Mapping[Side, float]
    """Share of the surface that is that side."""

    @property
    def few(self) -> float:
        return sum(self.seen_by[step] for step in ("0", "1", "2"))

    def to_json(self) -> dict[str, Any]:
        return {
            "photos": self.photos,
            "seen_by": {key: round(share, 4) for key, share in self.seen_by.items()},
            "few": round(self.few, 4),
            "few_of_side": {str(side): round(share, 4) for side, share in self.few_of.items()},
        }


def coverage_of(
    surface: Surface,
    counts: NDArray[np.int32],
    *,
    front: float,
    photos: int,
    focus: Focus | None,
) -> Coverage:
    """Sum up the counts of `count_photos`.

    `front` is the azimuth of the first picture in radians (0: along z, growing towards x). With a
    `focus` only what lies in it counts, and a side is where faces look to; without, a side is where
    they lie.
    """
    areas = surface.areas.copy()
    if focus is not None:
        inside = in_focus(surface.middles, focus)
        areas = areas * inside if inside.any() else areas
    total = max(float(areas.sum()), 1e-30)
    steps = np.digitize(counts, (1, 2, 3, 5, 9))
    names = ("0", "1", "2", "3-4", "5-8", "9+")
    shares = np.bincount(steps, areas, minlength=len(names)) / total
    sides = _looking(surface, front) if focus is not None else _lying(surface, front)
    weight_of, few_of = {}, {}
    for side, chosen in sides.items():
        area = float(areas[chosen].sum())
        if area > 0:
            weight_of[side] = area / total
            few_of[side] = float(areas[chosen & (counts <= FEW_PHOTOS)].sum()) / area
    return Coverage(
        photos=photos,
        seen_by=dict(zip(names, shares.tolist(), strict=True)),
        few_of=few_of,
        weight_of=weight_of,
    )


def _looking(surface: Surface, front: float) -> dict[Side, NDArray[np.bool_]]:
    x, y, z = surface.normals.T
    level = (y < TOP_NORMAL_Y) & (y > UNDER_NORMAL_Y)
    quarter = quarter_of(np.arctan2(x, z), front)
    sides = {side: level & (quarter == index) for index, side in enumerate(AROUND)}
    return sides | {Side.TOP: y >= TOP_NORMAL_Y}


def _lying(surface: Surface, front: float) -> dict[Side, NDArray[np.bool_]]:
    to_the_right = surface.middles[:, [0, 2]] @ [np.cos(front), -np.sin(front)]
    third = np.digitize(to_the_right, np.percentile(to_the_right, THIRDS_PERCENT))
    return {side: third == index for index, side in enumerate(ACROSS)}


def quarter_of(azimuth: Floats, front: float) -> NDArray[np.int64]:
    """0 to 3: which of `AROUND` lies in the direction of each azimuth."""
    turns = (azimuth - front) / (2 * np.pi) * QUARTER_SIDES
    return np.round(turns).astype(np.int64) % QUARTER_SIDES


def front_of(centers: Floats) -> float:
    """Azimuth in radians from which most photos (N, 3) were taken."""
    if not len(centers):
        return 0.0
    x, _, z = centers.mean(axis=0)
    return float(np.arctan2(x, z))


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The widest angle around the subject from which nothing was taken."""

    angle_deg: float
    side: Side
    before: int
    after: int
    """The cameras at its ends."""


def widest_gap(centers: Floats, middle: Floats, front: float) -> Gap:
    """Of cameras (N, 3), N > 1, about `middle`."""
    x, _, z = (centers - middle).T
    azimuth = np.arctan2(x, z)
    order = np.argsort(azimuth)
    steps = np.diff(np.append(azimuth[order], azimuth[order[0]] + 2 * np.pi))
    widest = int(np.argmax(steps))
    at = azimuth[order[widest]] + steps[widest] / 2
    side = AROUND[int(quarter_of(np.array([at]), front)[0])]
    ends: Sequence[int] = (int(order[widest]), int(order[(widest + 1) % len(order)]))
    return Gap(angle_deg=float(np.degrees(steps[widest])), side=side, before=ends[0], after=ends[1])
