"""Faces that no photo saw: the colours of the faces around them, spread smoothly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import cg

CELL_PX = 3
"""Each unseen face has a square of so many texels, its corners at texel centres."""
CORNER_TEXELS = np.array([[0.5, 0.5], [CELL_PX - 0.5, 0.5], [0.5, CELL_PX - 0.5]])
PULL_TO_MEAN = 1e-4


def rows_for(faces: int, width: int) -> int:
    """Atlas rows that so many unseen faces need."""
    return -(-faces // (width // CELL_PX)) * CELL_PX


def spread_colours(
    faces: NDArray[np.int32],
    vertices: int,
    known: NDArray[np.int32],
    known_colour: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Colours (V, 3) that agree with the known vertices and are harmonic over `faces` (F, 3).

    `known` (M,) may repeat a vertex; `known_colour` is (M, 3). Where no known vertex is connected,
    the colour is the mean of all.
    """
    weight = np.bincount(known, minlength=vertices)
    total = np.stack([np.bincount(known, known_colour[:, k], vertices) for k in range(3)], 1)
    colour: NDArray[np.float64] = total / np.maximum(weight, 1)[:, None]
    mean = colour[weight > 0].mean(axis=0) if len(known) else np.full(3, 128.0)
    unknown = np.zeros(vertices, bool)
    unknown[faces] = True
    unknown &= weight == 0
    slot = np.cumsum(unknown) - 1
    count = int(unknown.sum())
    if not count:
        return colour
    sides = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    both = np.concatenate([sides, sides[:, ::-1]])
    both = both[unknown[both[:, 0]]]
    row = slot[both[:, 0]]
    inner = unknown[both[:, 1]]
    degree = np.bincount(row, minlength=count) + PULL_TO_MEAN
    links = (row[inner], slot[both[inner, 1]])
    matrix = diags(degree) - coo_matrix((np.ones(inner.sum()), links), (count, count))
    matrix = matrix.tocsr()
    jacobi = diags(1.0 / degree)
    for k in range(3):
        outer = np.bincount(row[~inner], colour[both[~inner, 1], k] - mean[k], count)
        solution, _ = cg(matrix, outer, rtol=1e-3, maxiter=500, M=jacobi)
        colour[unknown, k] = mean[k] + solution
    return colour


def paint_cells(
    texture: NDArray[np.uint8], corner_colours: NDArray[np.float64], first_row: int
) -> NDArray[np.float64]:
    """Paint one cell for each face's corner colours (F, 3, 3) from `first_row` on, in place.

    Returns the texel (F, 3, 2) of every corner.
    """
    width = texture.shape[1]
    count = len(corner_colours)
    place = np.arange(count)
    per_row = width // CELL_PX
    origin = np.stack([place % per_row, place // per_row], axis=1) * CELL_PX + [0, first_row]
    first, along_x, along_y = np.moveaxis(corner_colours, 1, 0)
    for dy in range(CELL_PX):
        for dx in range(CELL_PX):
            share_x, share_y = dx / (CELL_PX - 1), dy / (CELL_PX - 1)
            # Beyond the diagonal the face's plane of colours goes on, within the 8-bit range.
            value = first + share_x * (along_x - first) + share_y * (along_y - first)
            texture[origin[:, 1] + dy, origin[:, 0] + dx] = np.clip(np.rint(value), 0, 255)
    return np.asarray(origin[:, None, :] + CORNER_TEXELS)
