"""From depth maps to one oriented, colored cloud.

A depth is believed where enough neighbour views measured the same place (after Merrell et al. 2007:
support against free-space violations). Believed points of all views are averaged in the cells of a
grid, weighted by how finely and how surely their view saw them, so that memory depends on the
surface and not on the number of photos.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap
from insaat_cli.mesh_io.point_cloud import Cloud

Map = npt.NDArray[np.float32]
CHANNELS = 11
"""Sums in a cell: weight, x, y, z, nx, ny, nz, r, g, b, observations."""
CELL_BITS = 21
EMPTY = -1
ROWS_AT_ONCE = 1 << 18
FULLEST = 0.6
"""The hash table doubles beyond this share."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """When two views count as seeing the same place."""

    views: int = 2
    """Other views that must agree."""
    reprojection_px: float = 1.5
    relative_depth: float = 0.01
    normal_cosine: float = 0.5


def agreed_depth(
    view: View,
    depth_map: DepthMap,
    others: Sequence[View],
    other_maps: Sequence[DepthMap],
    rule: Agreement,
) -> tuple[Map, npt.NDArray[np.uint8]]:
    """Depth of `view` averaged with the neighbours that agree, 0 where too few do, and how many."""
    rows = max(one.depth.shape[0] for one in other_maps)
    columns = max(one.depth.shape[1] for one in other_maps)
    depths = np.zeros((len(others), rows, columns), np.float32)
    normals = np.zeros((len(others), rows, columns, 3), np.int8)
    to_other = np.empty((len(others), 3, 4))
    intrinsics = np.empty((len(others), 4))
    for index, (other, one) in enumerate(zip(others, other_maps, strict=True)):
        height, width = one.depth.shape
        depths[index, :height, :width] = one.depth
        normals[index, :height, :width] = one.normals
        rotation = other.R @ view.R.T
        to_other[index, :, :3] = rotation
        to_other[index, :, 3] = other.t - rotation @ view.t
        intrinsics[index] = _intrinsics(other)
    depth = np.zeros_like(depth_map.depth)
    support = np.zeros(depth.shape, np.uint8)
    _agree(
        depth_map.depth, depth_map.normals, _intrinsics(view).astype(np.float32),
        depths, normals, to_other.astype(np.float32), intrinsics.astype(np.float32),
        rule.views, np.float32(rule.reprojection_px), np.float32(rule.relative_depth),
        np.float32(rule.normal_cosine), depth, support,
    )  # fmt: skip
    return depth, support


def _intrinsics(view: View) -> Floats:
    return np.array([view.K[0, 0], view.K[1, 1], view.K[0, 2], view.K[1, 2]])


AGREES, CONTRADICTS, SAYS_NOTHING = 1, 2, 0


@njit(nogil=True, cache=True, fastmath=True)
def _agree(  # type: ignore[no-untyped-def]
    depth, normals, K, depths, other_normals, to_other, intrinsics,
    least, reprojection_px, relative_depth, normal_cosine, agreed, support,
):  # fmt: skip
    rows, columns = depth.shape
    for v in range(rows):
        for u in range(columns):
            z = depth[v, u]
            if z <= 0:
                continue
            rx, ry = (np.float32(u) - K[2]) / K[0], (np.float32(v) - K[3]) / K[1]
            count, against = 0, 0
            total = np.float32(1)
            for j in range(len(depths)):
                verdict, ratio = _ask(
                    j, z, rx, ry, normals[v, u, 0], normals[v, u, 1], normals[v, u, 2],
                    K, depths, other_normals, to_other, intrinsics,
                    reprojection_px, relative_depth, normal_cosine,
                )  # fmt: skip
                if verdict == AGREES:
                    count += 1
                    total += ratio
                elif verdict == CONTRADICTS:
                    against += 1
            if count >= least and count > against:
                agreed[v, u] = z * total / np.float32(count + 1)
                support[v, u] = count


@njit(nogil=True, cache=True, fastmath=True)
def _ask(  # type: ignore[no-untyped-def]
    j, z, rx, ry, nx, ny, nz, K, depths, other_normals, to_other, intrinsics,
    reprojection_px, relative_depth, normal_cosine,
):  # fmt: skip
    """What view `j` says of a point at depth `z` on a ray, and its depth relative to `z`."""
    one = np.float32(1)
    T, Kj = to_other[j], intrinsics[j]
    x = z * (T[0, 0] * rx + T[0, 1] * ry + T[0, 2]) + T[0, 3]
    y = z * (T[1, 0] * rx + T[1, 1] * ry + T[1, 2]) + T[1, 3]
    zj = z * (T[2, 0] * rx + T[2, 1] * ry + T[2, 2]) + T[2, 3]
    if zj <= 0:
        return SAYS_NOTHING, one
    uj, vj = Kj[0] * x / zj + Kj[2], Kj[1] * y / zj + Kj[3]
    a, b = round(uj), round(vj)
    if a < 0 or b < 0 or a >= depths.shape[2] or b >= depths.shape[1] or depths[j, b, a] <= 0:
        return SAYS_NOTHING, one
    mx = np.float32(other_normals[j, b, a, 0])
    my = np.float32(other_normals[j, b, a, 1])
    mz = np.float32(other_normals[j, b, a, 2])
    # the neighbour's plane, extended from its pixel's centre to where we look
    sx, sy = x / zj, y / zj
    here = mx * (np.float32(a) - Kj[2]) / Kj[0] + my * (np.float32(b) - Kj[3]) / Kj[1] + mz
    there = mx * sx + my * sy + mz
    seen = depths[j, b, a]
    if here < 0 and there < 0 and abs(here / there - one) < np.float32(0.03):
        seen *= here / there
    difference = (seen - zj) / zj
    if difference > np.float32(3) * relative_depth:
        return CONTRADICTS, one
    cosine = (
        mx * (T[0, 0] * nx + T[0, 1] * ny + T[0, 2] * nz)
        + my * (T[1, 0] * nx + T[1, 1] * ny + T[1, 2] * nz)
        + mz * (T[2, 0] * nx + T[2, 1] * ny + T[2, 2] * nz)
    ) * np.float32(1.0 / (NORMAL_SCALE * NORMAL_SCALE))
    if abs(difference) > relative_depth or cosine < normal_cosine:
        return SAYS_NOTHING, one
    # what the neighbour measured, seen from here
    px, py, pz = seen * sx - T[0, 3], seen * sy - T[1, 3], seen - T[2, 3]
    bx = T[0, 0] * px + T[1, 0] * py + T[2, 0] * pz
    by = T[0, 1] * px + T[1, 1] * py + T[2, 1] * pz
    bz = T[0, 2] * px + T[1, 2] * py + T[2, 2] * pz
    eu, ev = K[0] * (bx / bz - rx), K[1] * (by / bz - ry)
    if bz <= 0 or eu * eu + ev * ev > reprojection_px * reprojection_px:
        return SAYS_NOTHING, one
    return AGREES, bz / z


class CellGrid:
    """Weighted means of observations in the cells of a world-aligned grid.

    A hash table holds the number of each cell, and the sums lie packed, in the order in which cells
    were first seen. Sums in the table itself would be one half air, and held twice as it grows.
    """

    def __init__(self, cell: float, origin: Floats) -> None:
        self.cell = cell
        self.origin = origin
        self._keys = np.full(1 << 16, EMPTY, np.int64)
        self._numbers = np.zeros(1 << 16, np.int32)
        self._sums = np.zeros((1 << 15, CHANNELS), np.float32)
        self._count = 0

    def add(self, view: View, depth: Map, depth_map: DepthMap, rgb: npt.NDArray[np.uint8]) -> None:
        """Add the pixels of `view` with an agreed depth; `rgb` is the photo at the map's size."""
        most = self._count + int(np.count_nonzero(depth))
        while most > FULLEST * len(self._keys):
            old_keys, old_numbers = self._keys, self._numbers
            self._keys = np.full(2 * len(old_keys), EMPTY, np.int64)
            self._numbers = np.zeros(len(self._keys), np.int32)
            _move(old_keys, old_numbers, self._keys, self._numbers)
        if most > len(self._sums):
            # In place where the system can: no second copy while it grows.
            self._sums.resize((most + len(self._sums) // 8, CHANNELS), refcheck=False)
        self._count = _add_pixels(
            depth, depth_map.normals, depth_map.confidence, rgb, _intrinsics(view),
            np.ascontiguousarray(view.R), view.t.copy(), self.origin, self.cell,
            self._keys, self._numbers, self._sums, self._count,
        )  # fmt: skip

    def cloud(self, observations: int) -> Cloud:
        """The mean of every cell with at least this many observations, in a fixed order."""
        filled = np.flatnonzero(self._keys != EMPTY)
        filled = filled[self._sums[self._numbers[filled], 10] >= observations]
        filled = filled[np.argsort(self._keys[filled])]
        cloud = Cloud(
            points=np.empty((len(filled), 3), np.float32),
            normals=np.empty((len(filled), 3), np.float32),
            colors=np.empty((len(filled), 3), np.uint8),
        )
        for first in range(0, len(filled), ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            sums = self._sums[self._numbers[filled[part]]]
            sums /= np.maximum(sums[:, :1], np.float32(1e-20))
            length = np.linalg.norm(sums[:, 4:7], axis=1, keepdims=True)
            cloud.points[part] = sums[:, 1:4] + self.origin.astype(np.float32)
            cloud.normals[part] = sums[:, 4:7] / np.maximum(length, np.float32(1e-9))
            cloud.colors[part] = np.clip(np.rint(sums[:, 7:10]), 0, 255)
        return cloud


@njit(inline="always")
def _slot(table, key):  # type: ignore[no-untyped-def]
    """Where `key` is, or would be, in the table (open addressing)."""
    mask = len(table) - 1
    slot = ((key * np.int64(-7046029254386353131)) >> 20) & mask
    while table[slot] != EMPTY and table[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(nogil=True, cache=True)
def _move(old_table, old_numbers, table, numbers):  # type: ignore[no-untyped-def]
    for i in range(len(old_table)):
        if old_table[i] != EMPTY:
            slot = _slot(table, old_table[i])
            table[slot] = old_table[i]
            numbers[slot] = old_numbers[i]


@njit(nogil=True, cache=True)
def _add_pixels(  # type: ignore[no-untyped-def]
    depth, normals, confidence, rgb, K, R, t, origin, cell, table, numbers, sums, count
):
    """Add every pixel with a depth to its cell; return how many cells there are then."""
    rows, columns = depth.shape
    limit = 1 << (CELL_BITS - 1)
    ray, local, normal, place = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for v in range(rows):
        for u in range(columns):
            z = np.float64(depth[v, u])
            if z <= 0:
                continue
            ray[0], ray[1], ray[2] = (u - K[2]) / K[0], (v - K[3]) / K[1], 1.0
            length, across, size = 0.0, 0.0, 1e-9
            for c in range(3):
                m = np.float64(normals[v, u, c])
                local[c] = ray[c] * z - t[c]
                length += ray[c] * ray[c]
                across -= ray[c] * m
                size += m * m
            size = math.sqrt(size)
            key = np.int64(0)
            for c in range(3):
                place[c] = -origin[c]
                normal[c] = 0.0
                for d in range(3):
                    place[c] += R[d, c] * local[d]
                    normal[c] += R[d, c] * normals[v, u, d] / size
                index = math.floor(place[c] / cell) + limit
                key = (key << CELL_BITS) | min(max(index, 0), 2 * limit - 1)
            # a pixel counts by how finely it samples the surface, and how sure it is
            slant = max(across / (size * math.sqrt(length)), 0.05)
            weight = slant * confidence[v, u] / 255.0 * (K[0] * cell / z) ** 2
            slot = _slot(table, key)
            if table[slot] == EMPTY:
                table[slot] = key
                numbers[slot] = count
                count += 1
            number = numbers[slot]
            sums[number, 0] += weight
            for c in range(3):
                sums[number, 1 + c] += weight * place[c]
                sums[number, 4 + c] += weight * normal[c]
                sums[number, 7 + c] += weight * rgb[v, u, c]
            sums[number, 10] += 1
    return count


def neighbour_counts(points: Map, cell: float) -> npt.NDArray[np.int64]:
    """For every point how many points lie in the 27 cells of side `cell` around it, itself too."""
    index = np.floor((points - points.min(0)) / cell).astype(np.int64) + 1
    shape = index.max(0) + 2
    keys = (index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2]
    cells, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    total = np.zeros(len(cells), np.int64)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            for dz in (-1, 0, 1):
                wanted = cells + (dx * shape[1] + dy) * shape[2] + dz
                place = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
                total += np.where(cells[place] == wanted, counts[place], 0)
    return np.asarray(total[inverse])
