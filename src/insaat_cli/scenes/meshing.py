"""From a signed distance function to a triangle mesh: naive surface nets.

After S. Gibson, "Constrained elastic surface nets" (1998): one vertex a cell that the surface
crosses, one quad an edge that it crosses. The vertices are then pulled onto the surface itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from insaat_cli.scenes.solids import Distances, Points

Solid = Callable[[Points], Distances]
"""Signed distances (n,) of points (n, 3), negative inside."""

BLOCK = 8
"""Edge of the blocks, in cells, that are skipped when the surface is far from them."""
LIPSCHITZ_MARGIN = 1.6
"""How much longer than the reported distance the way to the surface may be, at most."""

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
EDGES = [
    (a, b)
    for a, b in itertools.combinations(range(8), 2)
    if np.abs(CORNERS[a] - CORNERS[b]).sum() == 1
]


def mesh_of(
    solid: Solid, lower: Points, upper: Points, cell: float
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Triangles of the zero surface of `solid` inside the box from `lower` to `upper`.

    Returns vertices (n, 3) in the solid's frame and faces (m, 3), counter-clockwise from outside.
    """
    shape = np.ceil((upper - lower) / cell / BLOCK).astype(int) * BLOCK
    field = sample(solid, lower, shape, cell)
    vertices, numbers = _vertices(field, lower, cell)
    faces = _faces(field, numbers)
    return project(solid, vertices, cell), faces


def sample(solid: Solid, lower: Points, shape: NDArray[np.int_], cell: float) -> Points:
    """Distances on a grid (shape), exact near the surface and only of the right sign elsewhere."""
    blocks = shape // BLOCK
    corner = np.stack(np.meshgrid(*map(np.arange, blocks), indexing="ij"), -1).reshape(-1, 3)
    size = BLOCK * cell
    middle = solid(lower + (corner + 0.5) * size - cell / 2)
    near = np.abs(middle) < LIPSCHITZ_MARGIN * size * np.sqrt(3) / 2
    values = np.repeat((np.sign(middle) * size)[:, None], BLOCK**3, axis=1)
    inner = np.stack(np.meshgrid(*[np.arange(BLOCK)] * 3, indexing="ij"), -1).reshape(-1, 3)
    where = lower + (corner[near][:, None] * BLOCK + inner[None]) * cell
    values[near] = solid(where.reshape(-1, 3)).reshape(-1, BLOCK**3)
    grid = values.reshape(*blocks, BLOCK, BLOCK, BLOCK).transpose(0, 3, 1, 4, 2, 5)
    return np.ascontiguousarray(grid.reshape(shape))


def gradient(solid: Solid, points: Points, step: float) -> Points:
    """Central differences, not normalised: (n, 3)."""
    parts = []
    for axis in np.eye(3):
        parts.append((solid(points + step * axis) - solid(points - step * axis)) / (2 * step))
    return np.stack(parts, axis=1)


def project(solid: Solid, vertices: Points, cell: float) -> Points:
    """Move vertices along the gradient onto the surface, never further than half a cell."""
    for _ in range(2):
        slope = gradient(solid, vertices, 0.2 * cell)
        steep = np.maximum((slope**2).sum(axis=1), 0.05)
        step = -(solid(vertices) / steep)[:, None] * slope
        length = np.linalg.norm(step, axis=1, keepdims=True)
        vertices = vertices + step * np.minimum(1.0, 0.5 * cell / np.maximum(length, 1e-12))
    return vertices


def _vertices(field: Distances, lower: Points, cell: float) -> tuple[Points, NDArray[np.int32]]:
    inside = field < 0
    count = sum(
        inside[
            i : i + field.shape[0] - 1, j : j + field.shape[1] - 1, k : k + field.shape[2] - 1
        ].astype(np.int8)
        for i, j, k in CORNERS
    )
    crossed = np.argwhere((count > 0) & (count < 8))
    corner = crossed[:, None] + CORNERS[None]
    values = field[corner[..., 0], corner[..., 1], corner[..., 2]]
    total, weight = np.zeros((len(crossed), 3)), np.zeros(len(crossed))
    for a, b in EDGES:
        change = (values[:, a] < 0) != (values[:, b] < 0)
        share = np.where(change, values[:, a] / np.where(change, values[:, a] - values[:, b], 1), 0)
        point = CORNERS[a] + share[:, None] * (CORNERS[b] - CORNERS[a])
        total += change[:, None] * point
        weight += change
    numbers = np.full(np.array(field.shape) - 1, -1, dtype=np.int32)
    numbers[tuple(crossed.T)] = np.arange(len(crossed))
    return lower + (crossed + total / weight[:, None]) * cell, numbers


def _faces(field: Distances, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    inside = field < 0
    quads = []
    for axis in range(3):
        u, v = np.eye(3, dtype=int)[(axis + 1) % 3], np.eye(3, dtype=int)[(axis + 2) % 3]
        first = np.take(inside, range(field.shape[axis] - 1), axis=axis)
        second = np.take(inside, range(1, field.shape[axis]), axis=axis)
        edge = np.argwhere(first != second)
        limit = np.array(numbers.shape)
        fits = ((edge - u - v >= 0) & (edge < limit)).all(axis=1)
        edge = edge[fits]
        quad = np.stack(
            [numbers[tuple((edge - shift).T)] for shift in (u + v, v, 0 * u, u)], axis=1
        )
        outward = first[tuple(edge.T)]
        quads.append(np.where(outward[:, None], quad, quad[:, ::-1]))
    quad = np.concatenate(quads)
    return np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]).astype(np.int32)
