"""What the photos are of: where the optical axes meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONVERGENCE_MIN = 0.1
"""Least eigenvalue (of 1) that says where optical axes meet: they spread by 25 degrees or more."""
SUBJECT_SHARE = 0.5
"""Radius of a subject that is walked around, as a share of the cameras' distance to it."""
MEAN_DIRECTION_MAX = 0.6
"""Length of the mean viewing direction of an orbit: 0.64 for half a circle, 0 for a whole one."""


@dataclass(frozen=True, kw_only=True)
class Focus:
    """A sphere around the subject, in world units."""

    centre: Array
    radius: float


def meeting_point(centers: Array, forwards: Array) -> Array | None:
    """The point nearest to all optical axes in the least-squares sense; None where they diverge.

    `centers` and `forwards` (unit) are (N, 3). Axes that look the same way meet nowhere in
    particular.
    """
    normal_planes = np.eye(3) - forwards[:, :, None] * forwards[:, None, :]
    system = normal_planes.mean(axis=0)
    if len(centers) < 2 or np.linalg.eigvalsh(system)[0] < CONVERGENCE_MIN:
        return None
    right = np.einsum("nij,nj->i", normal_planes, centers) / len(centers)
    return np.asarray(np.linalg.solve(system, right))


def orbited(centers: Array, forwards: Array) -> Focus | None:
    """The subject of photos that were taken around it; None for a facade, a room or a flight.

    Around means from more than half a circle, the axes meeting in front of nearly all cameras.
    """
    centre = meeting_point(centers, forwards)
    if centre is None or np.linalg.norm(forwards.mean(axis=0)) > MEAN_DIRECTION_MAX:
        return None
    towards = centre - centers
    ahead = np.einsum("ni,ni->n", towards, forwards) > 0
    if np.mean(ahead) < 0.9:
        return None
    distance = np.linalg.norm(towards, axis=1)
    return Focus(centre=centre, radius=SUBJECT_SHARE * float(np.median(distance)))
