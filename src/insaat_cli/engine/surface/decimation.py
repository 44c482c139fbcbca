"""Fewer triangles where the surface is flat: vertices of a flat neighbourhood become one.

Vertex clustering (Rossignac and Borrel 1993) in cells of several sizes: the largest cell in which
the surface is one flat piece wins. Merging vertices opens no cracks, and takes linear time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]
Labels = npt.NDArray[np.int64]

MIN_ALIKE = 0.995
"""Length of the mean of the unit normals in a flat cell."""


def merge_flat(
    vertices: Floats, normals: Floats, faces: Faces, cell: float, levels: int, tolerance: float
) -> tuple[Floats, Faces]:
    """Merge vertices in flat cells of side `cell` times 2, 4 ... 2 ** levels.

    A cell is flat if its vertices lie within `tolerance` (world units, root mean square) of a
    plane and their normals are alike. Returns vertices and faces, without collapsed faces.
    """
    group = np.arange(len(vertices), dtype=np.int64)
    free = np.ones(len(vertices), bool)
    for level in range(levels, 0, -1):
        chosen = np.flatnonzero(free)
        if not len(chosen):
            break
        label, count = _cells(vertices[chosen], cell * 2**level)
        flat = _flat(vertices[chosen], normals[chosen], label, count, tolerance)[label]
        first = np.full(count, len(vertices), np.int64)
        np.minimum.at(first, label, chosen)
        group[chosen[flat]] = first[label[flat]]
        free[chosen[flat]] = False
    _, label = np.unique(group, return_inverse=True)
    merged = _means(vertices, label, int(label.max()) + 1)
    corners = label[faces].astype(np.int32)
    whole = (
        (corners[:, 0] != corners[:, 1])
        & (corners[:, 1] != corners[:, 2])
        & (corners[:, 2] != corners[:, 0])
    )
    return merged, corners[whole]


def _cells(vertices: Floats, side: float) -> tuple[Labels, int]:
    index = np.floor((vertices - vertices.min(axis=0)) / np.float32(side)).astype(np.int64)
    keys, label = np.unique(
        (index[:, 0] << 40) | (index[:, 1] << 20) | index[:, 2], return_inverse=True
    )
    return np.asarray(label), len(keys)


def _means(values: Floats, label: Labels, count: int) -> Floats:
    total = np.stack([np.bincount(label, values[:, k], count) for k in range(3)], 1)
    size = np.maximum(np.bincount(label, minlength=count), 1)
    return (total / size[:, None]).astype(np.float32)


def _flat(
    vertices: Floats, normals: Floats, label: Labels, count: int, tolerance: float
) -> npt.NDArray[np.bool_]:
    centre, normal = _means(vertices, label, count), _means(normals, label, count)
    length = np.linalg.norm(normal, axis=1)
    normal /= np.maximum(length, 1e-9)[:, None]
    off = np.einsum("ij,ij->i", vertices - centre[label], normal[label])
    size = np.maximum(np.bincount(label, minlength=count), 1)
    spread = np.sqrt(np.bincount(label, off * off, count) / size)
    return np.asarray((length > MIN_ALIKE) & (spread < tolerance))
