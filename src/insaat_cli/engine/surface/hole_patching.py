"""Closing what small holes are left in a mesh: one patch of least area for each open loop.

The patch is the minimum-weight triangulation of the loop (Barequet and Sharir, "Filling gaps in the
boundary of a polyhedron", 1995; with area as the weight, as in Liepa, "Filling holes in meshes",
2003). It needs no new vertices, and a crack becomes a strip, not a star.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numba import njit

Vertices = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]
Loop = npt.NDArray[np.int32]
FreeSpace = Callable[[Vertices], npt.NDArray[np.bool_]]

MAX_EDGES = 256
"""The triangulation's cost grows with the cube of the edges of a loop."""
MAX_AROUND = 100
"""Faces around one vertex; a mesh with more there is broken."""


def close_small_holes(
    vertices: Vertices, faces: Faces, widest: float, seen_through: FreeSpace
) -> Faces:
    """`faces` and those that close every hole not wider than `widest` (world units).

    A hole stays open where `seen_through` says that more than half of its patch is free space.
    """
    patches = [
        loop[min_area_patch(vertices[loop].astype(np.float64))]
        for loop in boundary_loops(faces)
        if len(loop) <= MAX_EDGES and np.ptp(vertices[loop], axis=0).max() <= widest
    ]
    if not patches:
        return faces
    added = np.concatenate(patches)
    middles = vertices[added].mean(axis=1, dtype=np.float32)
    owner = np.repeat(np.arange(len(patches)), [len(patch) for patch in patches])
    free = np.bincount(owner, weights=seen_through(middles)) / np.bincount(owner)
    return np.concatenate([faces, added[free[owner] <= 0.5]]).astype(np.int32)


def boundary_loops(faces: Faces) -> list[Loop]:
    """The open loops of a mesh, each as vertex indices, wound so that a patch continues the mesh.

    Where borders meet in one vertex, the faces around it say which edge continues which; a border
    that passes a vertex twice is split there, so a loop has each of its vertices once.
    """
    twin = _twins(faces)
    start = faces.reshape(-1)
    following: dict[int, int] = {}
    for first in np.flatnonzero(twin < 0).tolist():
        edge = _previous(first)
        for _ in range(MAX_AROUND):
            if twin[edge] < 0:
                following[first] = edge
                break
            edge = _previous(int(twin[edge]))
    loops = []
    while following:
        edge, successor = following.popitem()
        path = [int(start[edge])]
        while successor in following:
            path.append(int(start[successor]))
            successor = following.pop(successor)
        if successor == edge:
            loops += _simple(path)
    return loops


def _twins(faces: Faces) -> npt.NDArray[np.int64]:
    """(3 F,) the half-edge that runs the other way; -1 at open edges.

    Half-edge 3 f + k runs from corner k of face f to the next corner.
    """
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2).astype(np.int64)
    forward, backward = ends[:, 0] << 32 | ends[:, 1], ends[:, 1] << 32 | ends[:, 0]
    order = np.argsort(forward, kind="stable")
    place = np.minimum(np.searchsorted(forward[order], backward), len(order) - 1)
    return np.where(forward[order[place]] == backward, order[place], -1)


def _previous(edge: int) -> int:
    """The half-edge before this one in its face."""
    return edge - 1 if edge % 3 else edge + 2


def _simple(path: list[int]) -> list[Loop]:
    """A closed path, cut wherever it passes a vertex again, into loops of three or more."""
    loops = []
    open_: list[int] = []
    place: dict[int, int] = {}
    for vertex in [*path, path[0]]:
        if vertex in place:
            at = place[vertex]
            if len(open_) - at >= 3:
                loops.append(np.array(open_[at:], np.int32))
            for passed in open_[at + 1 :]:
                del place[passed]
            del open_[at + 1 :]
        else:
            place[vertex] = len(open_)
            open_.append(vertex)
    return loops


@njit(cache=True, nogil=True)
def min_area_patch(ring):  # type: ignore[no-untyped-def]
    """Triangles (n - 2, 3) over the closed ring of points (n, 3), as indices into it."""
    n = len(ring)
    cost = np.zeros((n, n))
    middle = np.zeros((n, n), np.int32)
    for width in range(2, n):
        for i in range(n - width):
            k = i + width
            best = np.inf
            for m in range(i + 1, k):
                ax = ring[m, 0] - ring[i, 0]
                ay = ring[m, 1] - ring[i, 1]
                az = ring[m, 2] - ring[i, 2]
                bx = ring[k, 0] - ring[i, 0]
                by = ring[k, 1] - ring[i, 1]
                bz = ring[k, 2] - ring[i, 2]
                x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
                total = cost[i, m] + cost[m, k] + 0.5 * np.sqrt(x * x + y * y + z * z)
                if total < best:
                    best = total
                    middle[i, k] = m
            cost[i, k] = best
    triangles = np.empty((n - 2, 3), np.int32)
    spans = np.empty((n, 2), np.int32)
    spans[0, 0], spans[0, 1] = 0, n - 1
    waiting, done = 1, 0
    while waiting:
        waiting -= 1
        i, k = spans[waiting, 0], spans[waiting, 1]
        if k - i < 2:
            continue
        m = middle[i, k]
        triangles[done, 0], triangles[done, 1], triangles[done, 2] = i, m, k
        done += 1
        spans[waiting, 0], spans[waiting, 1] = i, m
        spans[waiting + 1, 0], spans[waiting + 1, 1] = m, k
        waiting += 2
    return triangles
