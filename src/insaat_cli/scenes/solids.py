"""Solids of which the test subjects are modelled, as signed distance functions.

A subject is a list of parts, joined in order by smooth unions and differences. Distances are
negative inside. After I. Quilez, "Distance functions" (iquilezles.org/articles/distfunctions).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from insaat_cli.scenes.noise import octave_noise

Points = NDArray[np.float64]
Distances = NDArray[np.float64]
Vector = tuple[float, float, float]

NUMBERS = 9
"""Room for the numbers that describe one solid."""


class Kind(IntEnum):
    """The solids that the compiled loop knows."""

    ELLIPSOID = 0
    ROUND_CONE = 1
    BOX = 2
    CYLINDER = 3
    TORUS = 4


@dataclass(frozen=True, kw_only=True)
class Part:
    """One solid of a subject, how it joins those before it, and how it is painted."""

    kind: Kind
    numbers: tuple[float, ...]
    """Place and size, in the order that `_solid_distance` reads them."""
    centre: Vector
    reach: float
    """Radius of the sphere around `centre` that holds the solid."""
    tint: Vector = (0.5, 0.5, 0.5)
    """Color, RGB in 0 to 1, before texture and light."""
    stripes: float = 0.0
    """Strength (0 to 1) of the dark bands over the tint."""
    blend: float = 0.0
    """Width of the fillet to the parts before this one."""
    carve: bool = False
    """Take away instead of adding."""


def ellipsoid(centre: Vector, radii: Vector, *, turn: float = 0.0, **look: Any) -> Part:
    """An ellipsoid, turned about the z axis by `turn` radians (approximate distance)."""
    numbers = (*centre, *radii, math.cos(turn), math.sin(turn))
    return Part(kind=Kind.ELLIPSOID, numbers=numbers, centre=centre, reach=max(radii), **look)


def round_cone(start: Vector, end: Vector, radii: tuple[float, float], **look: Any) -> Part:
    """A capsule whose radius changes along its axis."""
    axis = tuple(b - a for a, b in zip(start, end, strict=True))
    middle = (start[0] + axis[0] / 2, start[1] + axis[1] / 2, start[2] + axis[2] / 2)
    length = math.hypot(*axis)
    numbers = (*start, *axis, radii[0], radii[1] - radii[0], 1.0 / length**2)
    reach = length / 2 + max(radii)
    return Part(kind=Kind.ROUND_CONE, numbers=numbers, centre=middle, reach=reach, **look)


def box(
    centre: Vector, size: Vector, *, rounding: float = 0.0, turn: float = 0.0, **look: Any
) -> Part:
    """A box of edge lengths `size` with rounded edges, turned about the z axis."""
    half = [edge / 2 - rounding for edge in size]
    numbers = (*centre, *half, math.cos(turn), math.sin(turn), rounding)
    return Part(kind=Kind.BOX, numbers=numbers, centre=centre, reach=math.hypot(*size) / 2, **look)


def cylinder(
    centre: Vector, radius: float, height: float, *, rounding: float = 0.0, **look: Any
) -> Part:
    """An upright cylinder around `centre`."""
    numbers = (*centre, radius - rounding, height / 2 - rounding, rounding)
    reach = math.hypot(radius, height / 2)
    return Part(kind=Kind.CYLINDER, numbers=numbers, centre=centre, reach=reach, **look)


def torus(centre: Vector, normal: Vector, radius: float, thickness: float, **look: Any) -> Part:
    """A ring around `normal`; `thickness` is the radius of its tube."""
    length = math.hypot(*normal)
    numbers = (*centre, *(n / length for n in normal), radius, thickness)
    return Part(kind=Kind.TORUS, numbers=numbers, centre=centre, reach=radius + thickness, **look)


def tube(points: Sequence[Vector], radii: Sequence[float], **look: Any) -> list[Part]:
    """A chain of round cones along a polyline."""
    links = [
        round_cone(points[i], points[i + 1], (radii[i], radii[i + 1]), **look)
        for i in range(len(points) - 1)
    ]
    return [links[0], *(replace(link, blend=0.0) for link in links[1:])]


@dataclass(frozen=True, kw_only=True)
class Body:
    """Parts as arrays, with the relief of their skin: what the compiled loops read."""

    kinds: NDArray[np.int64]
    numbers: NDArray[np.float64]
    """(parts, NUMBERS)"""
    joins: NDArray[np.float64]
    """(parts, 6): bounding centre xyz and radius, blend, 1 to carve."""
    relief: NDArray[np.float64]
    """Height and frequency of the bumps, and their seed."""

    def distance(self, points: Points, *, relief: bool = True) -> Distances:
        """Signed distances (n,) of points (n, 3)."""
        bumps = self.relief if relief else np.zeros(3)
        place = np.ascontiguousarray(points, dtype=np.float64)
        distances: Distances = _distances(place, self.kinds, self.numbers, self.joins, bumps)
        return distances

    def nearness(self, points: Points, width: float) -> NDArray[np.float64]:
        """Weight (n, parts) of every part at every point: 1 on its surface, e^-1 at `width`."""
        place = np.ascontiguousarray(points, dtype=np.float64)
        weights: NDArray[np.float64] = _nearness(place, self.kinds, self.numbers, self.joins, width)
        return weights


def body_of(parts: Sequence[Part], *, relief: float, relief_frequency: float, seed: int) -> Body:
    """Pack `parts`; `relief` is the height of the bumps, in the unit of the parts."""
    numbers = np.zeros((len(parts), NUMBERS))
    for row, part in zip(numbers, parts, strict=True):
        row[: len(part.numbers)] = part.numbers
    return Body(
        kinds=np.array([int(part.kind) for part in parts]),
        numbers=numbers,
        joins=np.array([[*p.centre, p.reach, p.blend, float(p.carve)] for p in parts]),
        relief=np.array([relief, relief_frequency, float(seed)]),
    )


@numba.njit(nogil=True, cache=True)
def _solid_distance(kind, n, x, y, z):  # type: ignore[no-untyped-def]
    x -= n[0]
    y -= n[1]
    z -= n[2]
    if kind == 1:
        along = (x * n[3] + y * n[4] + z * n[5]) * n[8]
        along = min(max(along, 0.0), 1.0)
        x -= along * n[3]
        y -= along * n[4]
        z -= along * n[5]
        return math.sqrt(x * x + y * y + z * z) - (n[6] + along * n[7])
    if kind == 3:
        across = math.sqrt(x * x + y * y) - n[3]
        along = abs(z) - n[4]
        outside = math.sqrt(max(across, 0.0) ** 2 + max(along, 0.0) ** 2)
        return outside + min(max(across, along), 0.0) - n[5]
    if kind == 4:
        along = x * n[3] + y * n[4] + z * n[5]
        x -= along * n[3]
        y -= along * n[4]
        z -= along * n[5]
        across = math.sqrt(x * x + y * y + z * z) - n[6]
        return math.sqrt(along * along + across * across) - n[7]
    x, y = x * n[6] + y * n[7], y * n[6] - x * n[7]
    if kind == 0:
        u, v, w = x / n[3], y / n[4], z / n[5]
        near = math.sqrt(u * u + v * v + w * w)
        u, v, w = u / n[3], v / n[4], w / n[5]
        return near * (near - 1.0) / max(math.sqrt(u * u + v * v + w * w), 1e-9)
    x, y, z = abs(x) - n[3], abs(y) - n[4], abs(z) - n[5]
    outside = math.sqrt(max(x, 0.0) ** 2 + max(y, 0.0) ** 2 + max(z, 0.0) ** 2)
    return outside + min(max(x, y, z), 0.0) - n[8]


@numba.njit(nogil=True, cache=True)
def _distances(points, kinds, numbers, joins, relief):  # type: ignore[no-untyped-def]
    distances = np.empty(len(points))
    for row in range(len(points)):
        x, y, z = points[row, 0], points[row, 1], points[row, 2]
        total = 1e3
        for part in range(len(kinds)):
            join = joins[part]
            way = math.sqrt((x - join[0]) ** 2 + (y - join[1]) ** 2 + (z - join[2]) ** 2)
            blend = join[4]
            carve = join[5] > 0.5
            # A part that is too far away to change anything need not be looked at.
            if way - join[3] - 0.02 > blend + (-total if carve else total):
                continue
            own = _solid_distance(kinds[part], numbers[part], x, y, z)
            a, b = (-total, own) if carve else (total, own)
            overlap = max(blend - abs(a - b), 0.0) / max(blend, 1e-12)
            joined = min(a, b) - overlap * overlap * blend * 0.25
            total = -joined if carve else joined
        if relief[0] > 0.0 and abs(total) < 20.0 * relief[0]:
            bumps = octave_noise(x, y, z, relief[1], 3, 0.5, 0.0, int(relief[2]))
            total += relief[0] * bumps
        distances[row] = total
    return distances


@numba.njit(nogil=True, cache=True)
def _nearness(points, kinds, numbers, joins, width):  # type: ignore[no-untyped-def]
    weights = np.zeros((len(points), len(kinds)))
    for row in range(len(points)):
        x, y, z = points[row, 0], points[row, 1], points[row, 2]
        for part in range(len(kinds)):
            join = joins[part]
            way = math.sqrt((x - join[0]) ** 2 + (y - join[1]) ** 2 + (z - join[2]) ** 2)
            if way - join[3] < 12.0 * width:
                own = _solid_distance(kinds[part], numbers[part], x, y, z)
                weights[row, part] = math.exp(-abs(own) / width)
    return weights
