"""Colors spread smoothly over faces from the vertices where they are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import cg

PULL_TO_MEAN = 1e-4
MIDDLE_GREY = 128.0


def spread_colors(
    faces: NDArray[np.int32],
    vertices: int,
    known: NDArray[np.integer[Any]],
    known_color: NDArray[np.float64],
    *,
    otherwise: float | None = None,
) -> NDArray[np.float64]:
    """Colors (V, 3) that agree with the known vertices and are harmonic over `faces` (F, 3).

    `known` (M,) may repeat a vertex; `known_color` is (M, 3). Where no known vertex is connected,
    the color is `otherwise`, or the mean of all.
    """
    weight = np.bincount(known, minlength=vertices)
    total = np.stack([np.bincount(known, known_color[:, k], vertices) for k in range(3)], 1)
    color: NDArray[np.float64] = total / np.maximum(weight, 1)[:, None]
    mean = color[weight > 0].mean(axis=0) if len(known) else np.full(3, MIDDLE_GREY)
    if otherwise is not None:
        mean = np.full(3, otherwise)
    unknown = np.zeros(vertices, bool)
    unknown[faces] = True
    unknown &= weight == 0
    slot = np.cumsum(unknown) - 1
    count = int(unknown.sum())
    if not count:
        return color
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
        outer = np.bincount(row[~inner], color[both[~inner, 1], k] - mean[k], count)
        solution, _ = cg(matrix, outer, rtol=1e-3, maxiter=500, M=jacobi)
        color[unknown, k] = mean[k] + solution
    return color
