"""Cleaning triangle meshes: drop what no point supports, islands, leftovers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.spatial import cKDTree

Vertices = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]


def supported(
    vertices: Vertices, points: Vertices, reach: float, *, threads: int = 1
) -> npt.NDArray[np.bool_]:
    """Which vertices have a point of the cloud within `reach` (world units)."""
    distance, _ = cKDTree(points).query(vertices, distance_upper_bound=reach, workers=threads)
    return np.asarray(np.isfinite(distance))


def compact(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """Drop vertices that no face uses, in order."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    new_index = np.cumsum(used) - 1
    return vertices[used], new_index[faces].astype(np.int32)


@njit(nogil=True, cache=True)
def _vertex_roots(faces, vertex_count):  # type: ignore[no-untyped-def]
    """Root vertex of every vertex's connected component (union by smaller index)."""
    parent = np.arange(vertex_count)
    for f in range(len(faces)):
        a = faces[f, 0]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        for k in range(1, 3):
            b = np.int64(faces[f, k])
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            if a < b:
                parent[b] = a
            elif b < a:
                parent[a] = b
                a = b
    for v in range(vertex_count):
        root = v
        while parent[root] != root:
            root = parent[root]
        parent[v] = root
    return parent


def remove_small_components(
    vertices: Vertices, faces: Faces, share: float
) -> tuple[Vertices, Faces, int]:
    """Drop components whose area is below `share` of the largest; also return how many are left."""
    if not len(faces):
        return vertices, faces, 0
    _, component = np.unique(_vertex_roots(faces, len(vertices))[faces[:, 0]], return_inverse=True)
    area = np.bincount(component, weights=face_areas(vertices, faces))
    keep = area >= share * area.max()
    kept_vertices, kept_faces = compact(vertices, faces[keep[component]])
    return kept_vertices, kept_faces, int(np.count_nonzero(keep))


def face_areas(vertices: Vertices, faces: Faces) -> npt.NDArray[np.float64]:
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1))


def without_folds(vertices: Vertices, faces: Faces) -> Faces:
    """Drop what keeps a mesh from being a surface, and as little else as possible.

    Faces that use a vertex twice; two faces back to back on the same vertices; on an edge shared by
    more than two faces, the smallest of them.
    """
    distinct = (
        (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    )
    faces = faces[distinct]
    _, first, inverse, counts = np.unique(
        np.sort(faces, axis=1), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    alone = np.zeros(len(faces), bool)
    alone[first] = True
    faces = faces[alone & (counts[inverse.reshape(-1)] % 2 == 1)]
    return np.asarray(faces[~_crowding(vertices, faces)])


def _crowding(vertices: Vertices, faces: Faces) -> npt.NDArray[np.bool_]:
    """Which faces are too many at one of their edges: all but the two largest there."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    keys = edges[:, 0].astype(np.int64) << 32 | edges[:, 1]
    face = np.tile(np.arange(len(faces)), 3)
    order = np.lexsort((-face_areas(vertices, faces)[face], keys))
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    rank = np.arange(len(keys)) - np.repeat(starts, np.diff(starts, append=len(keys)))
    crowding = np.zeros(len(faces), bool)
    crowding[face[order[rank >= 2]]] = True
    return crowding
