"""The ground in front of the camera, by how alike photos look on it.

Asphalt, gravel and lawn have texture, but too fine, and too different from photo to photo, for the
windows of stereo. All their pieces together tell the one plane that they lie on (a plane sweep, as
of Collins 1996, along gravity, as of Gallup et al. 2007, of the whole ground at once).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import Floats
from insaat_cli.engine.stereo.plane_evidence import Seen, Witnesses, gather
from insaat_cli.engine.stereo.view_planes import UP

Map = npt.NDArray[np.float32]
LOWER = -0.03
"""Tangent of the angle to the horizon below which a piece may be ground."""
UNKNOWN = 0.25
"""A piece is unknown where less of it is known."""
TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class FloorRule:
    """Where the ground may be."""

    lowest: float = 1.6
    """Below the camera, in heights of the camera above the world's ground."""
    highest: float = 0.6
    step: float = 0.025
    """Between the heights that are tried, as a share of them."""
    tilt_deg: float = 1.5
    rounds: int = 3
    """Height and tilt are refined so often, each time half as far."""
    least_pieces: int = 40
    clearer: float = 0.02
    """Photos must look more alike on it than on planes of other heights, by so much."""


def find_floor(
    own: Seen,
    samples: npt.NDArray[np.int32],
    rises: Map,
    known_share: Map,
    witnesses: Witnesses,
    rule: FloorRule,
) -> Floats:
    """(1, 3) the plane of the ground, (0, 3) if photos do not tell one.

    `samples` (S, ...) are of pieces; `rises` (S,) the tangents of their angles above the horizon,
    `known_share` (S,) how much of them is known. Only unknown pieces below the horizon are asked.
    """
    nothing = np.empty((0, 3))
    stand = float(own.view.center[1])
    asked = samples[(rises < LOWER) & (known_share < UNKNOWN)]
    if stand <= 0 or len(asked) < rule.least_pieces:
        return nothing

    def costs(planes: Floats) -> Floats:
        unlike = gather(own, asked, planes, witnesses, TOLERANCE).unlike
        return np.asarray(unlike.mean(axis=0), np.float64)

    up = own.view.R @ UP
    heights = stand * np.exp(np.arange(np.log(rule.highest), np.log(rule.lowest), rule.step))
    tried = costs(-up[None] / heights[:, None])
    best = int(np.argmin(tried))
    if tried[best] > np.median(tried) - rule.clearer or best in (0, len(heights) - 1):
        return nothing
    east, north = (np.asarray(own.view.R[:, axis]) for axis in (0, 2))
    state, cost = np.array([np.log(heights[best]), 0.0, 0.0]), float(tried[best])
    steps = np.array([rule.step, *[np.tan(np.radians(rule.tilt_deg))] * 2])
    for _ in range(rule.rounds):
        states = state + np.concatenate([np.diag(steps), -np.diag(steps)])
        planes = np.array(
            [-(up + one[1] * east + one[2] * north) / np.exp(one[0]) for one in states]
        )
        tried = costs(planes)
        if tried.min() < cost:
            state, cost = states[int(np.argmin(tried))], float(tried.min())
        else:
            steps = steps / 2
    return np.asarray((-(up + state[1] * east + state[2] * north) / np.exp(state[0]))[None])
