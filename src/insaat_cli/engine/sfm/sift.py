"""SIFT features in memory that does not grow with the photo.

OpenCV's SIFT (Lowe 2004) keeps the whole scale space of the doubled picture: 230 bytes a pixel.
Here the two finest octaves are taken tile by tile, which also stays in the processor's caches,
and all coarser octaves from one picture a quarter as wide. Descriptors are root-SIFT
(Arandjelovic and Zisserman 2012).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]

SIGMA_PX = 1.6
"""Scale of OpenCV's first layer, in pixels of its octave."""
COARSE_FACTOR = 4
FINE_MAX_SCALE_PX = SIGMA_PX * 2.0 * 2.0 ** (0.5 / 3.0)
"""Scale at which the tiles hand over to the coarse picture: half a layer above the last layer of
the octave of full pixels, half a layer below the first of the coarse picture's doubled octave."""
TILE_MARGIN_PX = 40
"""Radius of the descriptor window at that scale."""
TILE_SURPLUS = 2.0
DESCRIPTOR_NORM = 512.0
LARGEST_SHARE = 0.5
"""The strongest are small, in fine texture that looks different a step further on. Of 12 photos 16
degrees apart the 2048 strongest place 2; half of them and the 1024 largest place all."""


@dataclass(frozen=True, kw_only=True)
class SiftOptions:
    """What counts as a feature."""

    max_features: int = 8192
    contrast: float = 0.02
    edge: float = 10.0
    tile_side: int = 700


@dataclass(frozen=True)
class Features:
    """Keypoints [n, 4] float32 (x, y, scale in px, angle in rad; the centre of the first pixel is
    (0.5, 0.5), as in COLMAP) and root-SIFT descriptors [n, 128] uint8, strongest first."""

    keypoints: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.keypoints)


def extract_features(
    gray: Gray, options: SiftOptions, kept: npt.NDArray[np.bool_] | None = None
) -> Features:
    """Find at most `max_features` SIFT features of a picture [h, w], only where `kept` is true."""
    found = [*_fine(gray, options), _coarse(gray, options)]
    rows = np.concatenate([rows for rows, _ in found])
    descriptors = np.concatenate([descriptors for _, descriptors in found])
    if kept is not None:
        last = np.array(kept.shape[::-1]) - 1
        x, y = np.clip(np.rint(rows[:, :2]).astype(int), 0, last).T
        inside = kept[y, x]
        rows, descriptors = rows[inside], descriptors[inside]
    order = chosen(rows, options.max_features)
    keypoints = rows[order, :4].copy()
    keypoints[:, :2] += 0.5  # OpenCV's first pixel has its centre at 0
    return Features(keypoints, root_sift(descriptors[order]))


def chosen(rows: npt.NDArray[np.float32], most: int) -> npt.NDArray[np.intp]:
    """Which of OpenCV's keypoints [n, 5] (x, y, scale, angle, response) to keep, strongest first.

    Where there are more than `most`, LARGEST_SHARE of them are the largest, the others the
    strongest. Ties are broken by position so that the choice does not depend on the order of tiles.
    """
    strongest = np.lexsort((rows[:, 0], rows[:, 1], -rows[:, 4]))
    largest = np.lexsort((rows[:, 0], rows[:, 1], -rows[:, 2]))[: round(LARGEST_SHARE * most)]
    kept = np.zeros(len(rows), bool)
    kept[largest] = True
    kept[strongest[~kept[strongest]][: most - len(largest)]] = True
    return strongest[kept[strongest]]


def root_sift(descriptors: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """L1-normalised square roots of SIFT histograms [n, 128] as bytes, as COLMAP stores them."""
    total = np.abs(descriptors).sum(axis=1, keepdims=True)
    root = np.sqrt(descriptors / np.maximum(total, 1e-12))
    return np.asarray(np.clip(np.rint(root * DESCRIPTOR_NORM), 0, 255), np.uint8)


_Found = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Rows (x, y, scale, angle, response) and raw descriptors."""


def _fine(gray: Gray, options: SiftOptions) -> list[_Found]:
    height, width = gray.shape
    rows, columns = _spans(height, options.tile_side), _spans(width, options.tile_side)
    # A tile full of texture may give more than its share, but not describe what is cut off later.
    share = options.max_features / (len(rows) * len(columns))
    sift = _create(options, max_features=int(share * TILE_SURPLUS) + 1)
    found = []
    for top, bottom in rows:
        for left, right in columns:
            y0, x0 = max(0, top - TILE_MARGIN_PX), max(0, left - TILE_MARGIN_PX)
            tile = gray[y0 : bottom + TILE_MARGIN_PX, x0 : right + TILE_MARGIN_PX]
            points, descriptors = _detect(sift, tile)
            points[:, 0] += x0
            points[:, 1] += y0
            x, y, scale = points[:, 0], points[:, 1], points[:, 2]
            inside = (left <= x) & (x < right) & (top <= y) & (y < bottom)
            keep = inside & (scale < FINE_MAX_SCALE_PX)
            found.append((points[keep], descriptors[keep]))
    return found


def _coarse(gray: Gray, options: SiftOptions) -> _Found:
    height, width = gray.shape
    size = (max(width // COARSE_FACTOR, 1), max(height // COARSE_FACTOR, 1))
    # The average over whole blocks has the blur that the doubling step of SIFT takes for granted.
    small = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
    points, descriptors = _detect(_create(options, max_features=options.max_features), small)
    factors = np.array([width / size[0], height / size[1]], np.float32)
    points[:, :2] = (points[:, :2] + 0.5) * factors - 0.5
    points[:, 2] *= COARSE_FACTOR
    keep = points[:, 2] >= FINE_MAX_SCALE_PX
    return points[keep], descriptors[keep]


def _create(options: SiftOptions, *, max_features: int) -> Any:
    return cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=max_features,
        contrastThreshold=options.contrast,
        edgeThreshold=options.edge,
        sigma=SIGMA_PX,
        enable_precise_upscale=True,
    )


def _detect(sift: Any, picture: Gray) -> _Found:
    keypoints, descriptors = sift.detectAndCompute(picture, None)
    if not keypoints:
        return np.zeros((0, 5), np.float32), np.zeros((0, 128), np.float32)
    rows = [
        (point.pt[0], point.pt[1], point.size / 2, np.deg2rad(point.angle), point.response)
        for point in keypoints
    ]
    return np.array(rows, np.float32), descriptors


def _spans(length: int, tile_side: int) -> list[tuple[int, int]]:
    count = max(1, round(length / tile_side))
    edges = [length * index // count for index in range(count + 1)]
    return list(itertools.pairwise(edges))
