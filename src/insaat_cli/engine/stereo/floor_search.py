"""The ground in front of the camera, by how alike photos look on it.

Asphalt, gravel and lawn have texture, but too fine, and too different from photo to photo, for the
windows of stereo. All their pieces together tell the one plane that they lie on (a plane sweep, as
of Collins 1996, along gravity, as of Gallup et al. 2007, of the whole ground at once).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.plane_evidence import (
    Seen,
    Witnesses,
    call_witnesses,
    gather,
    samples_of,
)
from insaat_cli.engine.stereo.sky import rises
from insaat_cli.engine.stereo.superpixels import Superpixels

Map = npt.NDArray[np.float32]
LOWER = -0.03
"""Tangent of the angle to the horizon below which a piece may be ground."""
UNKNOWN = 0.25
"""A piece is unknown where less of it is known."""
TOLERANCE = 0.01
MOST_UNLIKE = 0.5
"""Where no photo can be compared."""


@dataclass(frozen=True, kw_only=True)
class FloorRule:
    """Where the ground may be."""

    lowest: float = 1.6
    """Below the cameras, in heights of the cameras above the world's ground."""
    highest: float = 0.6
    step: float = 0.025
    """Between the heights that are tried, as a share of them."""
    tilt_deg: float = 1.0
    rounds: int = 4
    """Height and tilt are refined so often; each time half as far where that gives nothing."""
    least_pieces: int = 40
    """Unknown pieces below the horizon that a view needs to be asked."""
    clearer: float = 0.01
    """Photos must look more alike on it than on planes of other heights, by so much."""
    views: int = 12
    """Views that are asked, spread over all."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The plane y + tilt[0] x + tilt[1] z = height of the world."""

    height: float
    tilt: tuple[float, float] = (0.0, 0.0)

    def seen_from(self, view: View) -> Floats:
        """(1, 3): the plane in the view's frame; (0, 3) from a view on or below it."""
        normal = np.array([self.tilt[0], 1.0, self.tilt[1]])
        above = float(normal @ view.center) - self.height
        if above <= 0:
            return np.empty((0, 3))
        return np.asarray((-(view.R @ normal) / above)[None])


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What one view may show of the ground: samples (P, ...) of pieces, and whom to ask."""

    own: Seen
    samples: npt.NDArray[np.int32]
    witnesses: Witnesses

    def unlike(self, floors: Sequence[Floor]) -> Floats:
        """(F,): mean difference of the photos on every plane."""
        planes = [floor.seen_from(self.own.view) for floor in floors]
        there = [index for index, plane in enumerate(planes) if len(plane)]
        result = np.full(len(floors), MOST_UNLIKE)
        if there:
            some = np.concatenate([planes[index] for index in there])
            told = gather(self.own, self.samples, some, self.witnesses, TOLERANCE)
            result[there] = told.unlike.mean(axis=0)
        return result


def ground_of(
    own: Seen, pieces: Superpixels, others: Sequence[Seen], rule: FloorRule
) -> Ground | None:
    """Unknown pieces below the horizon; None if they are too few."""
    known = pieces.means((own.reliable > 0).astype(np.float32))
    asked = (pieces.means(rises(own.view)) < LOWER) & (known < UNKNOWN)
    if not others or np.count_nonzero(asked) < rule.least_pieces:
        return None
    samples = samples_of(pieces.labels, pieces.count)[asked]
    return Ground(own=own, samples=samples, witnesses=call_witnesses(own.view, others))


def find_floor(grounds: Sequence[Ground], rule: FloorRule) -> Floor | None:
    """The plane of the ground that all views see best; None if photos do not tell one."""
    if not grounds:
        return None
    heights = np.array([ground.own.view.center[1] for ground in grounds])
    middle = float(np.median(heights))
    if middle <= 0:
        return None

    def costs(floors: Sequence[Floor]) -> Floats:
        return np.asarray(np.mean([ground.unlike(floors) for ground in grounds], axis=0))

    below = np.exp(np.arange(np.log(rule.highest), np.log(rule.lowest), rule.step))
    floors = [Floor(height=middle * (1 - share)) for share in below]
    tried = costs(floors)
    best = int(np.argmin(tried))
    if tried[best] > np.median(tried) - rule.clearer or best in (0, len(floors) - 1):
        return None
    floor, cost = floors[best], float(tried[best])
    size = np.array([rule.step * middle, *[np.tan(np.radians(rule.tilt_deg))] * 2])
    for _ in range(rule.rounds):
        states = np.array([floor.height, *floor.tilt]) + np.concatenate(
            [np.diag(size), -np.diag(size)]
        )
        around = [Floor(height=h, tilt=(a, b)) for h, a, b in states.tolist()]
        tried = costs(around)
        if tried.min() < cost:
            floor, cost = around[int(np.argmin(tried))], float(tried.min())
        else:
            size = size / 2
    return floor
