"""From depth maps to one oriented, colored cloud.

Points that views agree on (`engine/stereo/agreement.py`) are averaged in the cells of a grid,
weighted by how finely and how surely their view saw them, so that memory depends on the surface and
not on the number of photos.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.agreement import completed_pixels, intrinsics_of
from insaat_cli.engine.stereo.depth_map_files import DepthMap
from insaat_cli.mesh_io.point_cloud import Cloud

Map = npt.NDArray[np.float32]
CHANNELS = 12
"""Sums in a cell: weight, x, y, z, nx, ny, nz, r, g, b, observations, weight that is completed."""
CELL_BITS = 21
EMPTY = -1
ROWS_AT_ONCE = 1 << 18
FULLEST = 0.6
"""The hash table doubles beyond this share."""
LEVELS = 2
"""How often cells with too few observations join."""
COMPLETED_SHARE = 0.5
"""A cell was completed where more than this share of its weight was."""


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
            depth, depth_map.normals, depth_map.confidence, completed_pixels(depth_map), rgb,
            intrinsics_of(view),
            np.ascontiguousarray(view.R), view.t.copy(), self.origin, self.cell,
            self._keys, self._numbers, self._sums, self._count,
        )  # fmt: skip

    def cloud(self, observations: int, surrounded: int = 0, levels: int = LEVELS) -> Cloud:
        """The mean of every cell with at least so many observations, in a fixed order.

        A point needs `surrounded` points nearby, itself too. Cells that fall short of either, on
        surfaces far from the cameras above all, join into cells twice as wide, `levels` times, and
        count there wherever no finer point is near.
        """
        filled = np.flatnonzero(self._keys != EMPTY)
        filled = filled[np.argsort(self._keys[filled])]
        numbers = self._numbers[filled]
        enough = np.flatnonzero(self._sums[numbers, 10] >= observations)
        cloud = self._cloud_of(self._sums, numbers[enough])
        keep = neighbour_counts(cloud.points, cloud.points, 2 * self.cell) >= surrounded
        cloud = cloud.only(keep)
        rest = np.ones(len(filled), bool)
        rest[enough[keep]] = False
        keys, sums = self._keys[filled[rest]], self._sums[numbers[rest]]
        for level in range(1, levels + 1):
            keys, sums = _joined(keys, sums)
            coarse, rest = self._coarser(cloud, sums, observations, surrounded, 2**level)
            cloud = cloud.joined(coarse)
            keys, sums = keys[rest], sums[rest]
        return cloud

    def _coarser(
        self, fine: Cloud, sums: Map, observations: int, surrounded: int, width: int
    ) -> tuple[Cloud, npt.NDArray[np.bool_]]:
        """Points of the cells `width` fine ones wide, and which of them may join once more."""
        side = width * self.cell
        rest = np.ones(len(sums), bool)
        enough = np.flatnonzero(sums[:, 10] >= observations)
        cloud = self._cloud_of(sums, enough)
        alone = neighbour_counts(cloud.points, fine.points, side) == 0
        rest[enough[~alone]] = False
        together = np.concatenate([fine.points, cloud.points[alone]])
        keep = np.zeros(len(enough), bool)
        keep[alone] = neighbour_counts(cloud.points[alone], together, 2 * side) >= surrounded
        rest[enough[keep]] = False
        return cloud.only(keep), rest

    def _cloud_of(self, all_sums: Map, rows: npt.NDArray[np.integer[Any]]) -> Cloud:
        cloud = Cloud(
            points=np.empty((len(rows), 3), np.float32),
            normals=np.empty((len(rows), 3), np.float32),
            colors=np.empty((len(rows), 3), np.uint8),
            completed=np.zeros(len(rows), bool),
        )
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            sums = all_sums[rows[part]]
            sums /= np.maximum(sums[:, :1], np.float32(1e-20))
            length = np.linalg.norm(sums[:, 4:7], axis=1, keepdims=True)
            cloud.points[part] = sums[:, 1:4] + self.origin.astype(np.float32)
            cloud.normals[part] = sums[:, 4:7] / np.maximum(length, np.float32(1e-9))
            cloud.colors[part] = np.clip(np.rint(sums[:, 7:10]), 0, 255)
            cloud.completed[part] = sums[:, 11] > COMPLETED_SHARE
        return cloud


def _joined(keys: npt.NDArray[np.int64], sums: Map) -> tuple[npt.NDArray[np.int64], Map]:
    """Keys and sums of the cells twice as wide that hold these."""
    if not len(keys):
        return keys, sums
    low = (1 << CELL_BITS) - 1
    parents = np.zeros_like(keys)
    for axis in (2, 1, 0):
        index = (keys >> (axis * CELL_BITS)) & low
        parents = (parents << CELL_BITS) | (index >> 1)
    order = np.argsort(parents, kind="stable")
    starts = np.flatnonzero(np.diff(parents[order], prepend=-1))
    return parents[order[starts]], np.add.reduceat(sums[order], starts, axis=0)


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
    depth, normals, confidence, completed, rgb, K, R, t, origin, cell, table, numbers, sums, count
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
            if completed[v, u]:
                sums[number, 11] += weight
    return count


def neighbour_counts(at: Map, points: Map, cell: float) -> npt.NDArray[np.int64]:
    """For every place `at` how many of `points` lie in the 27 cells of side `cell` around it."""
    if not len(at) or not len(points):
        return np.zeros(len(at), np.int64)
    low = np.minimum(at.min(0), points.min(0))
    high = np.maximum(at.max(0), points.max(0))
    shape = np.floor((high - low) / cell).astype(np.int64) + 3
    cells, counts = np.unique(_cell_keys(points, low, cell, shape), return_counts=True)
    asked, inverse = np.unique(_cell_keys(at, low, cell, shape), return_inverse=True)
    total = np.zeros(len(asked), np.int64)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            for dz in (-1, 0, 1):
                wanted = asked + (dx * shape[1] + dy) * shape[2] + dz
                place = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
                total += np.where(cells[place] == wanted, counts[place], 0)
    return np.asarray(total[inverse.reshape(-1)])


def _cell_keys(
    points: Map, low: Map, cell: float, shape: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    index = np.floor((points - low) / cell).astype(np.int64) + 1
    return np.asarray((index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2])
