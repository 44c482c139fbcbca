"""The zero surface of a field on a grid, closed and manifold by construction.

Marching tetrahedra on the Kuhn division of every cell into six tetrahedra (Freudenthal 1942;
Payne and Toga 1990): neighbouring cells share their diagonals, so no case is ambiguous.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int64]

CLEARANCE = 1e-3
"""Least distance of the field from zero at a node, of the largest: no vertex falls on a node."""


def zero_surface(field: Field, spacing: float, origin: Floats) -> tuple[Floats, Faces]:
    """Triangles around where `field` (nx, ny, nz) is positive, normals outwards.

    The field must be negative on the border of the grid. Node (i, j, k) stands at
    `origin + spacing * (i, j, k)`.
    """
    values = np.where(np.abs(field) < CLEARANCE, np.copysign(CLEARANCE, field), field)
    shape = field.shape
    cells = _active_cells(values > 0)
    values = values.ravel()
    corners = np.ravel_multi_index(tuple(cells.T), shape)
    strides = np.array([shape[1] * shape[2], shape[2], 1], np.int64)
    triangles = [
        _cut(values, corners[:, None] + _path(order, strides), even=_is_even(order))
        for order in permutations(range(3))
    ]
    edges = np.concatenate(triangles).reshape(-1, 2)
    keys = edges.min(axis=1) * np.int64(values.size) + edges.max(axis=1)
    unique, faces = np.unique(keys, return_inverse=True)
    first, second = np.divmod(unique, values.size)
    a, b = values[first].astype(np.float64), values[second].astype(np.float64)
    share = (a / (a - b))[:, None]
    start = np.stack(np.unravel_index(first, shape), axis=1)
    end = np.stack(np.unravel_index(second, shape), axis=1)
    vertices = origin + spacing * (start + share * (end - start))
    return vertices, faces.reshape(-1, 3)


def _active_cells(inside: npt.NDArray[np.bool_]) -> Pairs:
    """(n, 3) lower corners of the cells that the surface goes through."""
    some = np.zeros(tuple(n - 1 for n in inside.shape), bool)
    every = np.ones_like(some)
    for offset in np.ndindex(2, 2, 2):
        ends = (o - 1 or None for o in offset)
        corner = inside[tuple(slice(o, e) for o, e in zip(offset, ends, strict=True))]
        some |= corner
        every &= corner
    return np.argwhere(some & ~every)


def _path(order: tuple[int, ...], strides: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Node offsets of the tetrahedron that walks from corner 000 to 111 along axes `order`."""
    return np.concatenate([[0], np.cumsum(strides[list(order)])])


def _is_even(order: tuple[int, ...]) -> bool:
    return order in ((0, 1, 2), (1, 2, 0), (2, 0, 1))


def _cut(values: Field, tetrahedra: Pairs, *, even: bool) -> Pairs:
    """(m, 3, 2): for each corner of each triangle, the two nodes of its edge."""
    inside = values[tetrahedra] > 0
    case = inside @ np.array([1, 2, 4, 8])
    found = []
    for number in range(1, 15):
        rows = tetrahedra[case == number]
        if len(rows):
            found += [rows[:, triangle] for triangle in _triangles(number, even=even)]
    return np.concatenate(found) if found else np.empty((0, 3, 2), np.int64)


def _triangles(case: int, *, even: bool) -> list[npt.NDArray[np.int64]]:
    """Triangles of one case as (3, 2) pairs of tetrahedron corners, normals outwards."""
    members = [v for v in range(4) if case >> v & 1]
    others = [v for v in range(4) if v not in members]
    flip = not even
    if len(members) == 3:
        members, others, flip = others, members, not flip
    order = [*members, *others]
    swaps = sum(order[i] > order[j] for i in range(4) for j in range(i + 1, 4))
    flip ^= swaps % 2 == 1
    a, b, c, d = order
    if len(members) == 1:
        found = [[(a, b), (a, c), (a, d)]]
    else:
        found = [[(a, c), (a, d), (b, d)], [(a, c), (b, d), (b, c)]]
    return [np.array(triangle[::-1] if flip else triangle) for triangle in found]
