"""Register photos by structure from motion, and judge what came out.

Incremental mapping (Schoenberger and Frahm 2016) with COLMAP; where too few photos register,
further attempts with other settings follow (`register_photos.py`), and the best result is kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from insaat_cli.engine.colmap.database import (
    PANORAMIC,
    PLANAR_OR_PANORAMIC,
    WATERMARK,
    open_database,
)
from insaat_cli.engine.colmap.model import Model

PARALLAX_MIN_DEG = 1.5
MAX_STILL_SHARE = 0.5
"""Share of pairs without parallax at which the set has none."""
STILL_SHARE = 0.01
"""Matches that move by less than this share of the picture do not move."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Result of one attempt: its models, the largest first."""

    name: str
    models: Sequence[Model]

    @property
    def registered(self) -> int:
        return len(self.models[0].images) if self.models else 0

    def registered_in_any(self) -> int:
        """Photos registered in any of the models."""
        return len({image_id for model in self.models for image_id in model.images})

    def rank(self) -> tuple[int, int]:
        """Order of attempts: photos, then points."""
        return self.registered, len(self.models[0].points) if self.models else 0


def parallax_deg(model: Model, max_points: int = 2000) -> float:
    """Median over points of the largest angle between two of its rays, in degrees."""
    centers = {image_id: image.center for image_id, image in model.images.items()}
    points = model.points
    angles = []
    for row in range(0, len(points), max(1, len(points) // max_points)):
        seen_from = np.array([centers[image_id] for image_id in points.track(row)[0].tolist()])
        rays = seen_from - points.positions[row]
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
        angles.append(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1.0, 1.0))))
    return float(np.median(angles)) if angles else 0.0


def still_share(database: Path) -> float:
    """Share of verified pairs whose matches hardly move, or move as if the camera only turned."""
    still = total = 0
    flat = {PANORAMIC, PLANAR_OR_PANORAMIC, WATERMARK}
    with open_database(database) as store:
        sides = store.longest_sides()
        for pair in store.two_view_geometries():
            if len(pair.inliers) == 0 and pair.config not in flat:
                continue
            total += 1
            if pair.config in flat:
                still += 1
                continue
            moved = (
                store.keypoints(pair.first)[pair.inliers[:, 0], :2]
                - store.keypoints(pair.second)[pair.inliers[:, 1], :2]
            )
            shift = np.median(np.linalg.norm(moved, axis=1))
            still += int(shift < STILL_SHARE * sides[pair.first])
    return still / total if total else 0.0


def emptied(folder: Path) -> Path:
    """`folder`, new and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
