"""Closing small holes of a cloud from coarse to fine, without inventing a surface.

A coarse surface through the cloud proposes points where the fine cloud has none. A proposal is
kept where points of the cloud lie all around it (else it would lengthen an open border) and where
no view saw through it (free-space test).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from insaat_cli.engine.scene.views import View
from insaat_cli.engine.surface.implicit_surface import RADIUS, Surfaces, extract_surface

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
FreeSpace = Callable[[Floats], Mask]

FILL_WEIGHT = 0.2
ROUND_ABOUT = 24
AROUND_CELLS = 5.0
WIDEST_GAP_DEG = 150.0
SEEN_THROUGH = 0.02
"""A view saw through a point if its depth there is this share larger than the point's."""


@dataclass(frozen=True, kw_only=True)
class Oriented:
    """Points with normals; (N, 3) each."""

    points: Floats
    normals: Floats


def closed_surface(
    cloud: Oriented, cell: float, levels: int, seen_through: FreeSpace, *, threads: int = 1
) -> Surfaces:
    """The surface through `cloud` at grid side `cell`, holes closed up to about 2 ** levels cells.

    `seen_through` says which of some points (N, 3) lie in space known to be free.
    """
    pyramid = [cloud]
    for level in range(1, levels + 1):
        pyramid.append(coarser(pyramid[-1], cell * 2**level))
    fill = Oriented(points=np.empty((0, 3), np.float32), normals=np.empty((0, 3), np.float32))
    for level in range(levels, 0, -1):
        side = cell * 2**level
        surface = _surface(pyramid[level], fill, side)
        fine = cKDTree(pyramid[level - 1].points)
        far, _ = fine.query(
            surface.vertices, distance_upper_bound=0.35 * RADIUS * side, workers=threads
        )
        open_ = np.flatnonzero(~np.isfinite(far))
        points, normals = surface.vertices[open_], surface.normals[open_]
        good = surrounded(points, normals, pyramid[level].points, AROUND_CELLS * side, threads)
        points, normals = points[good], normals[good]
        free = seen_through(points)
        fill = Oriented(points=points[~free], normals=normals[~free])
    return _surface(cloud, fill, cell)


def _surface(cloud: Oriented, fill: Oriented, side: float) -> Surfaces:
    weights = np.ones(len(cloud.points) + len(fill.points), np.float32)
    weights[len(cloud.points) :] = FILL_WEIGHT
    return extract_surface(
        np.concatenate([cloud.points, fill.points]),
        np.concatenate([cloud.normals, fill.normals]),
        weights,
        side,
    )


def coarser(cloud: Oriented, side: float) -> Oriented:
    """One mean point for every cell of side `side` that holds points; opposite sides apart."""
    index = np.floor((cloud.points - cloud.points.min(axis=0)) / np.float32(side)).astype(np.int64)
    facing = np.argmax(np.abs(cloud.normals), axis=1)
    sign = np.take_along_axis(cloud.normals, facing[:, None], 1)[:, 0] > 0
    keys = ((index[:, 0] << 20 | index[:, 1]) << 20 | index[:, 2]) * 6 + facing * 2 + sign
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    counts = np.diff(starts, append=len(keys)).astype(np.float32)[:, None]
    points = np.add.reduceat(cloud.points[order], starts, axis=0) / counts
    normals = np.add.reduceat(cloud.normals[order], starts, axis=0)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.float32(1e-9))
    return Oriented(points=points.astype(np.float32), normals=normals.astype(np.float32))


def surrounded(
    points: Floats, normals: Floats, cloud: Floats, radius: float, threads: int = 1
) -> Mask:
    """Which points have points of the cloud on all sides in their tangent plane.

    True where no gap between the directions to the nearest cloud points within `radius` is wider
    than `WIDEST_GAP_DEG`.
    """
    if not len(points):
        return np.zeros(0, bool)
    nearest = np.arange(1, min(ROUND_ABOUT, len(cloud)) + 1)  # a list keeps the axis of just one
    distance, index = cKDTree(cloud).query(
        points, k=nearest, distance_upper_bound=radius, workers=threads
    )
    known = np.isfinite(distance)
    towards = cloud[np.minimum(index, len(cloud) - 1)] - points[:, None]
    helper = np.where(np.abs(normals[:, :1]) > 0.7, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(normals, helper)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(normals, first)
    x = np.einsum("nkc,nc->nk", towards, first)
    y = np.einsum("nkc,nc->nk", towards, second)
    angle = np.where(known, np.arctan2(y, x), np.nan)
    angle = np.sort(angle, axis=1)  # unknown ones go to the end
    last = np.maximum(known.sum(axis=1) - 1, 0)
    gaps = np.nan_to_num(np.diff(angle, axis=1), nan=0.0).max(axis=1, initial=0.0)
    rows = np.arange(len(points))
    across = 2 * np.pi - (angle[rows, last] - angle[:, 0])
    widest = np.maximum(gaps, np.nan_to_num(across, nan=2 * np.pi))
    return np.asarray(widest < np.radians(WIDEST_GAP_DEG))


def free_space(
    points: Floats, maps: Iterable[tuple[View, npt.NDArray[np.float32]]], views: int
) -> Mask:
    """Which points at least `views` depth maps saw through; maps are read one at a time.

    Depth is 0 where unknown, and infinite where there is nothing but sky.
    """
    against = np.zeros(len(points), np.int32)
    if not len(points):
        return against > 0
    for view, depth in maps:
        local = points @ view.R.T.astype(np.float32) + view.t.astype(np.float32)
        z = np.maximum(local[:, 2], np.float32(1e-9))
        u = np.rint(view.K[0, 0] * local[:, 0] / z + view.K[0, 2])
        v = np.rint(view.K[1, 1] * local[:, 1] / z + view.K[1, 2])
        rows, columns = depth.shape
        seen = (local[:, 2] > 0) & (u >= 0) & (v >= 0) & (u < columns) & (v < rows)
        place = np.flatnonzero(seen)
        found = depth[v[place].astype(np.int64), u[place].astype(np.int64)]
        against[place] += found > (1 + SEEN_THROUGH) * z[place]
    return against >= views


def in_photo(points: Floats, view: View, *, nearer_than: float) -> Mask:
    """Which points (N, 3) lie in the photo before this depth (world units)."""
    local = points @ view.R.T.astype(np.float32) + view.t.astype(np.float32)
    z = np.maximum(local[:, 2], np.float32(1e-9))
    u = view.K[0, 0] * local[:, 0] / z + view.K[0, 2]
    v = view.K[1, 1] * local[:, 1] / z + view.K[1, 2]
    inside = (u > -0.5) & (v > -0.5) & (u < view.width - 0.5) & (v < view.height - 0.5)
    return np.asarray((local[:, 2] > 0) & (local[:, 2] < nearer_than) & inside)
