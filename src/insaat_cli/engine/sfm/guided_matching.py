"""Match two photos a second time, along the epipolar lines that a first matching gave.

What COLMAP calls guided matching, with its limits (ratio test, largest distance, cross check). It
fills a matrix of all features against all features, half a gigabyte a thread for 12,000; here a
descriptor is compared only where the geometry allows it, so that memory does not depend on the
number of features, and hardly one comparison in a hundred is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.colmap.database import (
    CALIBRATED,
    PANORAMIC,
    PLANAR,
    PLANAR_OR_PANORAMIC,
    UNCALIBRATED,
    Database,
    TwoViewGeometry,
    open_database,
)
from insaat_cli.engine.sfm.false_alarms import is_false_alarm
from insaat_cli.engine.sfm.pair_selection import Pair

MAX_RATIO = 0.8
MAX_DISTANCE = 0.7
"""Between unit descriptors, in radians."""
MAX_ERROR_PX = 4.0
MIN_MATCHES = 15
SCALE = 512.0
"""Length of a descriptor of bytes."""
FLAT = {PLANAR, PANORAMIC, PLANAR_OR_PANORAMIC}
CURVED = {CALIBRATED, UNCALIBRATED}

Bytes = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Partners = npt.NDArray[np.int32]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Features:
    """Positions [N, 2] in pixels and descriptors [N, 128] of one photo."""

    points: Points
    descriptors: Bytes


def match_again(database: Path, pairs: Sequence[Pair], *, threads: int) -> None:
    """Replace the verified matches of `pairs` (positions from 0) by guided ones, where there are
    any, and leave out pairs that keep fewer than MIN_MATCHES.

    Left out as well are pairs that were verified by chance: along any lines at all enough is
    found that looks alike, and photos of two subjects would hang together by hundreds of matches.
    """
    with open_database(database) as store, ThreadPoolExecutor(threads) as pool:
        jobs = _jobs(store, pairs)
        # As many pairs at a time as threads: their features are all that is held in memory.
        while batch := list(islice(jobs, threads)):
            found = pool.map(lambda job: _matches(*job), batch)
            for (geometry, _, _), matches in zip(batch, found, strict=True):
                kept = matches if len(matches) >= MIN_MATCHES else matches[:0]
                store.replace_inliers(geometry.first, geometry.second, kept)


def _jobs(
    store: Database, pairs: Sequence[Pair]
) -> Iterator[tuple[TwoViewGeometry, Features, Features]]:
    sides = store.longest_sides()
    for i, j in pairs:
        geometry = store.two_view_geometry(i + 1, j + 1)
        if geometry is None or geometry.config not in FLAT | CURVED:
            continue
        if _is_false_alarm(store, geometry, sides[geometry.second]):
            store.replace_inliers(geometry.first, geometry.second, geometry.inliers[:0])
        else:
            yield geometry, _read(store, geometry.first), _read(store, geometry.second)


def _is_false_alarm(store: Database, geometry: TwoViewGeometry, longest_side: int) -> bool:
    if geometry.config in FLAT:
        return False  # both coordinates obey: no such number does by chance
    inliers = len(geometry.inliers)
    return is_false_alarm(
        max(store.match_count(geometry.first, geometry.second), inliers),
        inliers,
        longest_side=longest_side,
        error_px=MAX_ERROR_PX,
    )


def _read(store: Database, image_id: int) -> Features:
    points = np.ascontiguousarray(store.keypoints(image_id)[:, :2], np.float32)
    return Features(points=points, descriptors=store.descriptors(image_id))


def _matches(
    geometry: TwoViewGeometry, first: Features, second: Features
) -> npt.NDArray[np.uint32]:
    if geometry.config in FLAT:
        return guided_matches(first, second, homography=geometry.homography)
    return guided_matches(first, second, fundamental=geometry.fundamental)


def guided_matches(
    first: Features,
    second: Features,
    *,
    fundamental: Matrix | None = None,
    homography: Matrix | None = None,
) -> npt.NDArray[np.uint32]:
    """Pairs of rows [M, 2] that are each other's best match within MAX_ERROR_PX of the geometry.

    `fundamental` maps points of the first photo to lines of the second, `homography` to points;
    both in pixels, one of them is given.
    """
    of, among = first.descriptors, second.descriptors
    if homography is not None:
        a, b = _project(first.points, homography), second.points
        there, back = _partners_near(a, b, of, among), _partners_near(b, a, among, of)
    else:
        assert fundamental is not None
        a, b = _lines(first.points, fundamental), _lines(second.points, fundamental.T)
        there = _partners_on_lines(a, b, second.points, of, among)
        back = _partners_on_lines(b, a, first.points, among, of)
    rows = np.flatnonzero(there >= 0)
    mutual = rows[back[there[rows]] == rows]
    return np.stack([mutual, there[mutual]], axis=1).astype(np.uint32)


def _lines(points: Points, matrix: Matrix) -> Points:
    """Epipolar lines [N, 3] of `points` in the other photo."""
    homogeneous = np.column_stack([points, np.ones(len(points))])
    lines = homogeneous @ matrix.T
    # Only ratios of these numbers count; they are too small for single precision as they are.
    return np.ascontiguousarray(lines / max(float(np.abs(matrix).max()), 1e-300), np.float32)


def _project(points: Points, matrix: Matrix) -> Points:
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.ascontiguousarray(homogeneous[:, :2] / homogeneous[:, 2:], np.float32)


@njit(nogil=True, cache=True)
def _dot(a: Bytes, b: Bytes) -> int:
    total = np.int32(0)  # 32 bits: the compiler adds eight at a time
    for k in range(a.size):
        total += np.int32(a[k]) * np.int32(b[k])
    return int(total)


@njit(nogil=True, cache=True)
def _accepted(best: int, second: int) -> bool:
    """Whether the best of all comparisons is near enough and stands out: angles, not cosines."""
    near = np.arccos(min(1.0, best / (SCALE * SCALE)))
    next_near = np.arccos(min(1.0, second / (SCALE * SCALE)))
    return bool(near <= MAX_DISTANCE and near < MAX_RATIO * next_near)


@njit(nogil=True, cache=True)
def _partners_on_lines(
    lines: Points, back: Points, points: Points, of: Bytes, among: Bytes
) -> Partners:
    """For each row of `of` its best row of `among`; -1: none, or two are alike.

    `lines` [N, 3] are those of the rows of `of` in the photo of `among`, whose `points` are
    [M, 2], and `back` [M, 3] the other way. The error is Sampson's.
    """
    partners = np.full(len(of), -1, np.int32)
    most = np.float32(MAX_ERROR_PX * MAX_ERROR_PX)
    for i in range(len(of)):
        a, b, c = lines[i, 0], lines[i, 1], lines[i, 2]
        own = a * a + b * b
        best, second = 0, 0
        for j in range(len(among)):
            residual = a * points[j, 0] + b * points[j, 1] + c
            slope = own + back[j, 0] * back[j, 0] + back[j, 1] * back[j, 1]
            if residual * residual > most * slope:
                continue
            near = _dot(of[i], among[j])
            if near > best:
                best, second, partners[i] = near, best, j
            elif near > second:
                second = near
        if not _accepted(best, second):
            partners[i] = -1
    return partners


@njit(nogil=True, cache=True)
def _partners_near(a: Points, b: Points, of: Bytes, among: Bytes) -> Partners:
    """The same for points [N, 2] and [M, 2] in one picture, where their distance counts."""
    partners = np.full(len(of), -1, np.int32)
    for i in range(len(of)):
        best, second = 0, 0
        for j in range(len(among)):
            dx, dy = a[i, 0] - b[j, 0], a[i, 1] - b[j, 1]
            if not dx * dx + dy * dy <= MAX_ERROR_PX * MAX_ERROR_PX:  # nor where it is no number
                continue
            near = _dot(of[i], among[j])
            if near > best:
                best, second, partners[i] = near, best, j
            elif near > second:
                second = near
        if not _accepted(best, second):
            partners[i] = -1
    return partners
