"""A surface through an oriented cloud: local implicit function on sparse blocks, dual meshing.

The signed distance at a grid node is the weighted mean of the distances to the tangent planes of
the points near it (Kolluri 2005, implicit moving least squares). Its zero set is meshed with one
vertex a cell (Gibson 1998, surface nets). Time and memory grow with the surface, not with a
bounding box, and nothing appears farther than `RADIUS` cells from a point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]

RADIUS = 2.0
"""A point reaches this many cells."""
BITS = 3
SIDE = 1 << BITS
NODES = SIDE**3
MIN_WEIGHT = 1e-3
EMPTY = -1
KEY_BITS = 20
FIRST_TABLE = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Surfaces:
    """A triangle mesh with unit normals at its vertices."""

    vertices: Floats
    normals: Floats
    faces: Faces


def extract_surface(points: Floats, normals: Floats, weights: Floats, cell: float) -> Surfaces:
    """Mesh the surface through `points` (N, 3) with outward `normals`, at grid side `cell`.

    `weights` (N,) say how far to trust each point.
    """
    origin = points.min(axis=0) - np.float32((RADIUS + 2) * cell)
    grid = ((points - origin) / np.float32(cell)).astype(np.float32)
    keys, values = _allocate_all(grid)
    blocks = int(values.max()) + 1
    distance = np.zeros((blocks, NODES), np.float32)
    weight = np.zeros((blocks, NODES), np.float32)
    _splat(grid, normals, weights, keys, values, distance, weight)
    around = _blocks_around(keys, values, blocks)
    of_block = np.empty(blocks, np.int64)
    of_block[values[keys != EMPTY]] = keys[keys != EMPTY]
    _normalise(distance, weight)
    ids = np.full((blocks, NODES), EMPTY, np.int32)
    count = _number_cells(distance, weight, around, ids)
    vertices = np.empty((count, 3), np.float32)
    slopes = np.empty((count, 3), np.float32)
    _place_vertices(distance, around, ids, of_block, vertices, slopes)
    size = _make_faces(distance, weight, around, ids, vertices, np.empty((0, 3), np.int32))
    faces = np.empty((size, 3), np.int32)
    _make_faces(distance, weight, around, ids, vertices, faces)
    slopes /= np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), np.float32(1e-12))
    return Surfaces(vertices=vertices * np.float32(cell) + origin, normals=slopes, faces=faces)


def _allocate_all(grid: Floats) -> tuple[npt.NDArray[np.int64], Faces]:
    size = FIRST_TABLE
    while True:
        keys = np.full(size, EMPTY, np.int64)
        values = np.full(size, EMPTY, np.int32)
        if _allocate(grid, keys, values) >= 0:
            return keys, values
        size *= 2


@njit(nogil=True, cache=True)
def _slot(keys, key):  # type: ignore[no-untyped-def]
    mask = len(keys) - 1
    slot = ((key * np.int64(-7046029254386353131)) >> 20) & mask
    while keys[slot] != EMPTY and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(nogil=True, cache=True)
def _block_key(i, j, k):  # type: ignore[no-untyped-def]
    return (np.int64(i) << (2 * KEY_BITS)) | (np.int64(j) << KEY_BITS) | np.int64(k)


@njit(nogil=True, cache=True)
def _allocate(grid, keys, values):  # type: ignore[no-untyped-def]
    """Number every block within reach of a point; -1 if the table is too small."""
    count = 0
    reach = np.float32(RADIUS)
    for p in range(len(grid)):
        low_i, high_i = int(grid[p, 0] - reach) >> BITS, int(grid[p, 0] + reach) >> BITS
        low_j, high_j = int(grid[p, 1] - reach) >> BITS, int(grid[p, 1] + reach) >> BITS
        low_k, high_k = int(grid[p, 2] - reach) >> BITS, int(grid[p, 2] + reach) >> BITS
        for i in range(low_i, high_i + 1):
            for j in range(low_j, high_j + 1):
                for k in range(low_k, high_k + 1):
                    key = _block_key(i, j, k)
                    slot = _slot(keys, key)
                    if keys[slot] == EMPTY:
                        if 2 * count > len(keys):
                            return -1
                        keys[slot] = key
                        values[slot] = count
                        count += 1
    return count


@njit(nogil=True, cache=True, fastmath=True)
def _splat(grid, normals, weights, keys, values, distance, weight):  # type: ignore[no-untyped-def]
    reach = np.float32(RADIUS)
    inverse = np.float32(1 / (RADIUS * RADIUS))
    mask = SIDE - 1
    for p in range(len(grid)):
        x, y, z = grid[p, 0], grid[p, 1], grid[p, 2]
        nx, ny, nz = normals[p, 0], normals[p, 1], normals[p, 2]
        block, last = -1, np.int64(-1)
        for i in range(int(np.ceil(x - reach)), int(x + reach) + 1):
            dx = np.float32(i) - x
            for j in range(int(np.ceil(y - reach)), int(y + reach) + 1):
                dy = np.float32(j) - y
                for k in range(int(np.ceil(z - reach)), int(z + reach) + 1):
                    dz = np.float32(k) - z
                    near = np.float32(1) - (dx * dx + dy * dy + dz * dz) * inverse
                    if near <= 0:
                        continue
                    key = _block_key(i >> BITS, j >> BITS, k >> BITS)
                    if key != last:
                        last = key
                        block = values[_slot(keys, key)]
                    node = (((i & mask) << BITS) | (j & mask)) << BITS | (k & mask)
                    w = near * near * weights[p]
                    weight[block, node] += w
                    distance[block, node] += w * (nx * dx + ny * dy + nz * dz)


@njit(nogil=True, cache=True)
def _normalise(distance, weight):  # type: ignore[no-untyped-def]
    for b in range(len(distance)):
        for n in range(NODES):
            if weight[b, n] > np.float32(MIN_WEIGHT):
                distance[b, n] /= weight[b, n]
            else:
                weight[b, n] = np.float32(0)


@njit(nogil=True, cache=True)
def _blocks_around(keys, values, count):  # type: ignore[no-untyped-def]
    """(count, 27) numbers of the blocks around each, EMPTY where there is none."""
    around = np.full((count, 27), EMPTY, np.int32)
    low = (1 << KEY_BITS) - 1
    for slot in range(len(keys)):
        key = keys[slot]
        if key == EMPTY:
            continue
        i, j, k = key >> (2 * KEY_BITS), (key >> KEY_BITS) & low, key & low
        n = 0
        for di in range(-1, 2):
            for dj in range(-1, 2):
                for dk in range(-1, 2):
                    other = _slot(keys, _block_key(i + di, j + dj, k + dk))
                    if keys[other] != EMPTY:
                        around[values[slot], n] = values[other]
                    n += 1
    return around


@njit(nogil=True, cache=True)
def _node(around, b, i, j, k):  # type: ignore[no-untyped-def]
    """Block and place of a node given relative to block `b`; coordinates from -1 to SIDE."""
    mask = SIDE - 1
    other = around[b, ((i >> BITS) + 1) * 9 + ((j >> BITS) + 1) * 3 + (k >> BITS) + 1]
    return other, (((i & mask) << BITS) | (j & mask)) << BITS | (k & mask)


@njit(nogil=True, cache=True)
def _number_cells(distance, weight, around, ids):  # type: ignore[no-untyped-def]
    """Number the cells that the surface passes and whose eight corners are known."""
    count = 0
    for b in range(len(ids)):
        for i in range(SIDE):
            for j in range(SIDE):
                for k in range(SIDE):
                    if weight[b, ((i << BITS) | j) << BITS | k] == 0:
                        continue
                    inside = 0
                    known = True
                    for corner in range(8):
                        other, n = _node(
                            around, b, i + (corner >> 2), j + ((corner >> 1) & 1), k + (corner & 1)
                        )
                        if other == EMPTY or weight[other, n] == 0:
                            known = False
                            break
                        inside += distance[other, n] < 0
                    if known and inside > 0 and inside < 8:
                        ids[b, ((i << BITS) | j) << BITS | k] = count
                        count += 1
    return count


@njit(nogil=True, cache=True)
def _place_vertices(distance, around, ids, of_block, vertices, slopes):  # type: ignore[no-untyped-def]
    """A cell's vertex is the mean of the points where its edges cross the surface."""
    low = (1 << KEY_BITS) - 1
    value = np.empty(8, np.float32)
    for b in range(len(ids)):
        key = of_block[b]
        bi, bj, bk = key >> (2 * KEY_BITS), (key >> KEY_BITS) & low, key & low
        for node in range(NODES):
            vertex = ids[b, node]
            if vertex == EMPTY:
                continue
            i, j, k = node >> (2 * BITS), (node >> BITS) & (SIDE - 1), node & (SIDE - 1)
            for corner in range(8):
                other, n = _node(
                    around, b, i + (corner >> 2), j + ((corner >> 1) & 1), k + (corner & 1)
                )
                value[corner] = distance[other, n]
            total = np.zeros(3, np.float32)
            slope = np.zeros(3, np.float32)
            crossings = 0
            for axis in range(3):
                bit = 4 >> axis
                for corner in range(8):
                    if corner & bit:
                        continue
                    a, c = value[corner], value[corner | bit]
                    slope[axis] += c - a
                    if (a < 0) == (c < 0):
                        continue
                    crossings += 1
                    total[0] += np.float32(corner >> 2)
                    total[1] += np.float32((corner >> 1) & 1)
                    total[2] += np.float32(corner & 1)
                    total[axis] += a / (a - c)
            share = np.float32(1.0 / crossings)
            vertices[vertex, 0] = np.float32(bi * SIDE + i) + total[0] * share
            vertices[vertex, 1] = np.float32(bj * SIDE + j) + total[1] * share
            vertices[vertex, 2] = np.float32(bk * SIDE + k) + total[2] * share
            slopes[vertex] = slope


@njit(nogil=True, cache=True)
def _make_faces(distance, weight, around, ids, vertices, faces):  # type: ignore[no-untyped-def]
    """Two triangles for every grid edge that crosses the surface; only count them if no room."""
    count = 0
    quad = np.empty(4, np.int32)
    for b in range(len(ids)):
        for node in range(NODES):
            if ids[b, node] == EMPTY:
                continue
            i, j, k = node >> (2 * BITS), (node >> BITS) & (SIDE - 1), node & (SIDE - 1)
            here = distance[b, node] < 0
            for axis in range(3):
                end, n = _node(around, b, i + (axis == 0), j + (axis == 1), k + (axis == 2))
                if (distance[end, n] < 0) == here:
                    continue
                whole = True
                for turn in range(4):
                    first, second = (turn == 1) | (turn == 2), turn >= 2
                    di = second if axis == 1 else (first if axis == 2 else 0)
                    dj = first if axis == 0 else (second if axis == 2 else 0)
                    dk = second if axis == 0 else (first if axis == 1 else 0)
                    other, m = _node(around, b, i - di, j - dj, k - dk)
                    quad[turn] = EMPTY if other == EMPTY else ids[other, m]
                    whole &= quad[turn] != EMPTY
                if not whole:
                    continue
                if len(faces):
                    _split(quad, here, vertices, faces, count)
                count += 2
    return count


@njit(nogil=True, cache=True)
def _split(quad, here, vertices, faces, count):  # type: ignore[no-untyped-def]
    """Write a quad as two triangles along its shorter diagonal, facing positive distance."""
    a, b, c, d = quad[0], quad[1], quad[2], quad[3]
    if not here:
        b, d = d, b
    one, two = np.float32(0), np.float32(0)
    for axis in range(3):
        one += (vertices[a, axis] - vertices[c, axis]) ** 2
        two += (vertices[b, axis] - vertices[d, axis]) ** 2
    if one > two:
        a, b, c, d = b, c, d, a
    faces[count, 0], faces[count, 1], faces[count, 2] = a, b, c
    faces[count + 1, 0], faces[count + 1, 1], faces[count + 1, 2] = a, c, d
