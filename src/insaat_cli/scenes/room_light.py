"""Daylight in a room, baked: a window as area light, and what walls and floor throw back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insaat_cli.scenes.lighting import openness
from insaat_cli.scenes.solids import Body, Points

SAMPLES = (4, 3)
"""Points of the window, across and up, from which light is counted."""
WINDOW_STRENGTH = 1.15
BOUNCE_STRENGTH = 0.66
CORNER_REACH = 0.45
"""Distance, in metres, within which neighbours darken a place."""
CORNER_SHARE = 0.5
"""How much of the light that is thrown back they can take."""
SHADOW_STEPS = 16
SHADOW_SHARPNESS = 10.0


@dataclass(frozen=True, kw_only=True)
class Window:
    """An opening in the wall towards +y; light comes in from the plane `y`."""

    x: tuple[float, float]
    z: tuple[float, float]
    y: float

    def points(self) -> Points:
        """Where the light is sampled: (n, 3)."""
        across = self.x[0] + (self.x[1] - self.x[0]) * (np.arange(SAMPLES[0]) + 0.5) / SAMPLES[0]
        up = self.z[0] + (self.z[1] - self.z[0]) * (np.arange(SAMPLES[1]) + 0.5) / SAMPLES[1]
        x, z = (grid.ravel() for grid in np.meshgrid(across, up))
        return np.stack([x, np.full(x.size, self.y), z], axis=1)


def light_in_room(
    body: Body, window: Window, points: Points, normals: Points
) -> NDArray[np.float32]:
    """Brightness (n,) of a white surface at points (n, 3) with unit normals (n, 3)."""
    lamps = window.points()
    area = (window.x[1] - window.x[0]) * (window.z[1] - window.z[0]) / len(lamps)
    total = np.zeros(len(points))
    for lamp in lamps:
        towards = lamp - points
        distance = np.maximum(np.linalg.norm(towards, axis=1), 0.15)
        towards /= distance[:, None]
        strength = np.maximum((normals * towards).sum(axis=1), 0.0) * np.maximum(towards[:, 1], 0.0)
        lit = strength > 1e-4
        seen = _visible(body, points[lit] + 0.02 * normals[lit], towards[lit], distance[lit])
        total[lit] += strength[lit] * seen * area / (0.25 + distance[lit] ** 2)
    near = np.linalg.norm(points - lamps.mean(axis=0), axis=1)
    bounce = (1.0 + 0.07 * normals[:, 2] - 0.05 * normals[:, 1]) * (1.12 - 0.05 * near)
    free = openness(body, points, normals, CORNER_REACH)
    open_to_room = 1.0 - CORNER_SHARE * (1.0 - free)
    back = BOUNCE_STRENGTH * bounce * open_to_room
    return np.asarray(WINDOW_STRENGTH * total + back, dtype=np.float32)


def _visible(
    body: Body, points: Points, towards: Points, distance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of light that comes through, by marching the distance function."""
    light = np.ones(len(points))
    way = np.full(len(points), 0.03)
    for _ in range(SHADOW_STEPS):
        free = body.distance(points + way[:, None] * towards, relief=False)
        light = np.minimum(light, np.maximum(SHADOW_SHARPNESS * free / way, 0.0))
        way = np.minimum(way + np.clip(free, 0.03, 0.6), distance - 0.02)
    return np.minimum(light, 1.0)
