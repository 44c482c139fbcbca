"""Fewer faces under the same texture.

Half-edge collapse with quadric errors (Garland and Heckbert 1997; Melax 1998): a vertex moves
onto one of its neighbours, so that no new texture coordinate is ever made up. Vertices on seams of
the texture and on open borders stay. In every pass the cheapest collapses that do not touch each
other are done; topology (link condition), the faces' normals and the texture's orientation are
kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int64]

PASSES = 60
PASS_SHARE = 0.35
"""Of the faces still to go, how many one pass may take: later choices are better informed."""
MIN_PASS = 200
NORMAL_COSINE = 0.2
"""A face may not turn further than this by one collapse."""
MAX_AROUND = 32
THIN = 1e-3
"""Least quality (area over squared longest side) of a face that a collapse leaves."""


def collapse(vertices: Floats, uv: Floats, faces: Faces, max_faces: int) -> Faces:
    """Faces (at most `max_faces` where seams allow it) over the same vertices.

    `vertices` (n, 3) and `uv` (n, 2) belong together: a place on a seam has several vertices.
    """
    faces = np.ascontiguousarray(faces, np.int64)
    _, place = np.unique(vertices, axis=0, return_inverse=True)
    place = place.reshape(-1).astype(np.int64)
    quadrics = _quadrics(vertices, faces, place)[place]
    for _ in range(PASSES):
        surplus = len(faces) - max_faces
        if surplus <= 0:
            break
        free = _free_vertices(faces, place)
        starts, around = _faces_around(faces, len(vertices))
        cost, target = _best_targets(vertices, uv, faces, starts, around, free, quadrics)
        possible = np.flatnonzero(target >= 0)
        if len(possible) == 0:
            break
        order = possible[np.argsort(cost[possible], kind="stable")]
        wanted = max(int(surplus * PASS_SHARE), min(surplus, MIN_PASS)) // 2 + 1
        moved = _take(order, target, faces, starts, around, wanted)
        if not moved.any():
            break
        onto = np.where(moved, target, np.arange(len(vertices)))
        np.add.at(quadrics, onto[moved], quadrics[moved])
        faces = onto[faces]
        a, b, c = faces.T
        faces = np.ascontiguousarray(faces[(a != b) & (b != c) & (c != a)])
    return faces


def _quadrics(vertices: Floats, faces: Faces, place: Faces) -> Floats:
    """(places, 10) sums of the squared-distance forms of the planes around each place."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(doubled, 1e-300)[:, None]
    offset = -np.einsum("fx,fx->f", normals, corners[:, 0])
    plane = np.concatenate([normals, offset[:, None]], axis=1)
    upper = np.triu_indices(4)
    forms = plane[:, upper[0]] * plane[:, upper[1]] * doubled[:, None]
    total = np.zeros((int(place.max()) + 1, 10))
    for corner in range(3):
        for k in range(10):
            total[:, k] += np.bincount(place[faces[:, corner]], forms[:, k], len(total))
    return total


def _free_vertices(faces: Faces, place: Faces) -> npt.NDArray[np.bool_]:
    """Vertices that are alone at their place and have faces all around."""
    count = len(place)
    used = np.zeros(count, bool)
    used[faces] = True
    alone = np.bincount(place[used], minlength=int(place.max()) + 1)[place] == 1
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    keys, uses = np.unique(edges[:, 0] * np.int64(count) + edges[:, 1], return_counts=True)
    border = keys[uses != 2]
    free: npt.NDArray[np.bool_] = np.logical_and(used, alone)
    free[border // count] = False
    free[border % count] = False
    return free


def _faces_around(faces: Faces, count: int) -> tuple[Faces, Faces]:
    """Faces at each vertex: those of v are around[starts[v]:starts[v + 1]]."""
    flat = faces.ravel()
    order = np.argsort(flat, kind="stable")
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(flat, minlength=count), out=starts[1:])
    return starts, order // 3


@njit(cache=True, nogil=True)
def _best_targets(vertices, uv, faces, starts, around, free, quadrics):  # type: ignore[no-untyped-def]
    """Cost and target of the cheapest allowed collapse of each vertex; target -1: none."""
    count = len(vertices)
    cost = np.full(count, np.inf)
    target = np.full(count, -1, np.int64)
    ring = np.empty(3 * MAX_AROUND, np.int64)
    for v in range(count):
        degree = starts[v + 1] - starts[v]
        if not free[v] or degree < 3 or degree > MAX_AROUND:
            continue
        size = _neighbours(v, faces, starts, around, ring)
        if size != degree:
            continue
        for u in ring[:size]:
            value = _error(quadrics[v], vertices[u]) + _error(quadrics[u], vertices[u])
            if (
                value < cost[v]
                and _shared(u, ring[:size], faces, starts, around) == 2
                and _keeps_sides(v, u, vertices, uv, faces, starts, around)
            ):
                cost[v] = value
                target[v] = u
    return cost, target


@njit(cache=True, nogil=True)
def _neighbours(v, faces, starts, around, ring):  # type: ignore[no-untyped-def]
    """Write the vertices around v into `ring`; returns how many."""
    size = 0
    for k in range(starts[v], starts[v + 1]):
        for u in faces[around[k]]:
            known = u == v
            for i in range(size):
                known = known or ring[i] == u
            if not known:
                ring[size] = u
                size += 1
    return size


@njit(cache=True, nogil=True)
def _error(q, p):  # type: ignore[no-untyped-def]
    x, y, z = p
    return abs(
        q[0] * x * x + 2 * q[1] * x * y + 2 * q[2] * x * z + 2 * q[3] * x + q[4] * y * y
        + 2 * q[5] * y * z + 2 * q[6] * y + q[7] * z * z + 2 * q[8] * z + q[9]
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _shared(u, ring, faces, starts, around):  # type: ignore[no-untyped-def]
    """Of the vertices in `ring`, how many are neighbours of u; two keep the surface a surface."""
    shared = 0
    for w in ring:
        if w == u:
            continue
        for k in range(starts[w], starts[w + 1]):
            a, b, c = faces[around[k]]
            if a == u or b == u or c == u:
                shared += 1
                break
    return shared


@njit(cache=True, nogil=True)
def _keeps_sides(v, u, vertices, uv, faces, starts, around):  # type: ignore[no-untyped-def]
    """Whether no face turns over, in space or in the texture, or becomes a needle."""
    for k in range(starts[v], starts[v + 1]):
        face = faces[around[k]]
        if face[0] == u or face[1] == u or face[2] == u:
            continue
        i = 0 if face[0] == v else (1 if face[1] == v else 2)
        b, c = face[(i + 1) % 3], face[(i + 2) % 3]
        edge = vertices[c] - vertices[b]
        before = np.cross(edge, vertices[v] - vertices[b])
        after = np.cross(edge, vertices[u] - vertices[b])
        length = np.sqrt((before**2).sum() * (after**2).sum())
        if (before * after).sum() < NORMAL_COSINE * length or length == 0.0:
            return False
        longest = max((edge**2).sum(), ((vertices[u] - vertices[b]) ** 2).sum())
        if np.sqrt((after**2).sum()) < THIN * longest:
            return False
        side = uv[c] - uv[b]
        old, new = uv[v] - uv[b], uv[u] - uv[b]
        area = side[0] * old[1] - side[1] * old[0]
        if area != 0.0 and area * (side[0] * new[1] - side[1] * new[0]) <= 0.0:
            return False
    return True


@njit(cache=True, nogil=True)
def _take(order, target, faces, starts, around, wanted):  # type: ignore[no-untyped-def]
    """Which vertices move: in this order, as long as no neighbourhood is touched twice."""
    moved = np.zeros(len(target), np.bool_)
    touched = np.zeros(len(target), np.bool_)
    taken = 0
    for v in order:
        if taken >= wanted:
            break
        u = target[v]
        fresh = not (touched[v] or touched[u])
        for k in range(starts[v], starts[v + 1]):
            for w in faces[around[k]]:
                fresh = fresh and not touched[w]
        if not fresh:
            continue
        for k in range(starts[v], starts[v + 1]):
            for w in faces[around[k]]:
                touched[w] = True
        touched[u] = True
        moved[v] = True
        taken += 1
    return moved
