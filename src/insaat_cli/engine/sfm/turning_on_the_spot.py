"""Which photos were taken by turning on the spot: between them nothing tells how far things are.

Photos from one place differ by a rotation alone, whatever they show, which a wall (a homography,
too) does not fake: with the focal length known, one rotation takes the directions of all matches
of one photo to those of the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap.camera import Camera, unproject
from insaat_cli.engine.colmap.database import open_database

Floats = npt.NDArray[np.float64]

MIN_MATCHES = 30
"""Fewer matches obey some rotation by chance."""
TURNED_ERROR_DEG = 0.12
"""Three pixels of a phone's photo of 2000: matching, and what a lens bends."""
TURNED_SHARE = 0.8
"""Share of a pair's matches that one rotation explains, if the camera only turned."""
SAME_VIEW_DEG = 1.0
"""A camera that turned by less did not turn: these are copies, or a tripod's photos."""
PAIRS_SHARE = 0.8
"""Share of a photo's pairs that only turned, for it to be of no use."""
ROUNDS = 5


def turned_photos(database: Path, cameras: Mapping[int, Camera]) -> list[int]:
    """Image ids of photos that differ from nearly all that they match by a rotation alone.

    `cameras` holds the camera of every image id, as well as it is known.
    """
    turned: dict[int, int] = defaultdict(int)
    pairs: dict[int, int] = defaultdict(int)
    with open_database(database) as store:
        keypoints: dict[int, Floats] = {}

        def rays(image_id: int, rows: npt.NDArray[np.int64]) -> Floats:
            if image_id not in keypoints:
                keypoints[image_id] = store.keypoints(image_id)[:, :2].astype(np.float64)
            return directions(cameras[image_id], keypoints[image_id][rows])

        for pair in store.two_view_geometries():
            if len(pair.inliers) < MIN_MATCHES:
                continue
            first = rays(pair.first, pair.inliers[:, 0])
            second = rays(pair.second, pair.inliers[:, 1])
            only = only_turned(first, second)
            for image_id in (pair.first, pair.second):
                pairs[image_id] += 1
                turned[image_id] += int(only)
    return sorted(key for key, count in pairs.items() if turned[key] >= PAIRS_SHARE * count)


def directions(camera: Camera, pixels: Floats) -> Floats:
    """Unit vectors [n, 3] along which `camera` sees pixels [n, 2]."""
    rays = np.column_stack([unproject(camera, pixels), np.ones(len(pixels))])
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def only_turned(first: Floats, second: Floats) -> bool:
    """Whether one rotation, by more than a trifle, takes directions [n, 3] to those of a match.

    Outliers lose their say by their error (Cauchy); the rotation is Kabsch's.
    """
    weights = np.ones(len(first))
    rotation, error_deg = np.eye(3), np.zeros(len(first))
    for _ in range(ROUNDS):
        u, _, vt = np.linalg.svd((weights[:, None] * second).T @ first)
        rotation = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
        chord = np.linalg.norm(second - first @ rotation.T, axis=1)
        error_deg = np.degrees(2 * np.arcsin(np.clip(chord / 2, 0.0, 1.0)))
        typical = max(float(np.median(error_deg)), 0.3 * TURNED_ERROR_DEG)
        weights = 1.0 / (1.0 + (error_deg / typical) ** 2)
    angle_deg = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1.0, 1.0)))
    share = float(np.mean(error_deg < TURNED_ERROR_DEG))
    return bool(angle_deg > SAME_VIEW_DEG and share >= TURNED_SHARE)
