"""Light of an overcast day with a soft sun, baked: it must not change from photo to photo.

Ambient occlusion and soft shadows by marching the distance function, after I. Quilez, "Soft
shadows in raymarched SDFs" (iquilezles.org/articles/rmshadows).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insaat_cli.scenes.solids import Body, Points

SUN = np.array([0.48, -0.60, 0.64])
"""Direction towards the sun, unit length."""
SUN_STRENGTH = 0.60
SKY_STRENGTH = 0.78
OCCLUSION_REACH = 0.24
SHADOW_REACH = 2.0
SHADOW_STEPS = 28
SHADOW_SHARPNESS = 9.0


@dataclass(frozen=True, kw_only=True)
class GroundLight:
    """Light on the plane z = 0 on a square grid around the origin."""

    values: NDArray[np.float32]
    """(n, n) brightness; the first index is y."""
    half_width: float
    """The grid reaches from -half_width to half_width in x and y."""


def light_at(body: Body, points: Points, normals: Points) -> NDArray[np.float32]:
    """Brightness (n,) of a white surface at points (n, 3) with unit normals (n, 3)."""
    sky = (0.70 + 0.30 * normals[:, 2]) * openness(body, points, normals, OCCLUSION_REACH)
    facing = np.maximum(normals @ SUN, 0.0)
    sun = np.zeros(len(points))
    lit = facing > 0
    sun[lit] = facing[lit] * _sunlight(body, points[lit] + 0.012 * normals[lit])
    return (SKY_STRENGTH * sky + SUN_STRENGTH * sun).astype(np.float32)


def light_on_ground(body: Body, half_width: float, size: int = 256) -> GroundLight:
    """Bake the light around a subject that stands on the ground."""
    axis = np.linspace(-half_width, half_width, size)
    x, y = np.meshgrid(axis, axis)
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    normals = np.broadcast_to([0.0, 0.0, 1.0], points.shape)
    values = light_at(body, points, normals).reshape(size, size)
    return GroundLight(values=values, half_width=half_width)


def openness(body: Body, points: Points, normals: Points, reach: float) -> NDArray[np.float64]:
    """Share of the sky that a surface point sees, roughly; nothing beyond `reach` hides any."""
    hidden = np.zeros(len(points))
    weight = 1.0
    for height in reach * np.array([0.1, 0.25, 0.45, 0.7, 1.0]):
        free = body.distance(points + height * normals, relief=False)
        hidden += weight * np.maximum(height - np.maximum(free, 0.0), 0.0)
        weight *= 0.72
    return np.asarray(np.clip(1.0 - 1.9 * hidden / reach / 1.6, 0.22, 1.0))


def _sunlight(body: Body, points: Points) -> NDArray[np.float64]:
    """0 in the shadow, 1 in the sun, in between in the penumbra."""
    light = np.ones(len(points))
    way = np.full(len(points), 0.01)
    for _ in range(SHADOW_STEPS):
        free = body.distance(points + way[:, None] * SUN, relief=False)
        light = np.minimum(light, np.maximum(SHADOW_SHARPNESS * free / way, 0.0))
        way = np.minimum(way + np.clip(free, 0.012, 0.2), SHADOW_REACH)
    return light * light * (3.0 - 2.0 * light)
