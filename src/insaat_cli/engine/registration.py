"""Place cameras by structure from motion, and do not give up at the first try.

Incremental mapping (Schoenberger and Frahm 2016) with COLMAP; where too few photos register,
further attempts with other settings follow, and the best result is kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

SEED = 1
MIN_MODEL_PHOTOS = 3
MAX_MODELS = 10
PARALLAX_MIN_DEG = 1.5
MOSTLY = 0.5
"""Share of pairs without parallax at which the set has none."""
STILL_SHARE = 0.01
"""Matches that move by less than this share of the picture do not move."""


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """Result of one attempt: its models, the largest first."""

    attempt: str
    models: Sequence[pycolmap.Reconstruction]

    @property
    def registered(self) -> int:
        return self.models[0].num_reg_images() if self.models else 0

    def placed(self) -> int:
        """Photos registered in any of the models."""
        return len({image_id for model in self.models for image_id in model.reg_image_ids()})

    def rank(self) -> tuple[int, int]:
        """Order of attempts: photos, then points."""
        return self.registered, self.models[0].num_points3D() if self.models else 0


def map_incrementally(
    database: Path,
    images: Path,
    scratch: Path,
    *,
    attempt: str,
    threads: int,
    on_image: Callable[[], None],
    forgiving: bool = False,
) -> Mapping:
    """Models of the photos in `database`; `forgiving` takes weaker pairs and smaller angles."""
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = threads
    options.random_seed = SEED
    options.mapper.random_seed = SEED
    options.triangulation.random_seed = SEED
    options.min_model_size = MIN_MODEL_PHOTOS
    options.max_num_models = MAX_MODELS
    options.extract_colors = False
    options.ba_global_max_refinements = 2
    if forgiving:
        options.min_num_matches = 10
        options.mapper.init_min_num_inliers = 50
        options.mapper.init_min_tri_angle = 6.0
        options.mapper.abs_pose_min_num_inliers = 15
        options.mapper.abs_pose_min_inlier_ratio = 0.15
    models = pycolmap.incremental_mapping(
        database, images, _empty(scratch), options, next_image_callback=on_image
    )
    return Mapping(attempt=attempt, models=_sorted(models))


def map_globally(
    database: Path, images: Path, scratch: Path, *, attempt: str, threads: int
) -> Mapping:
    """Models by global mapping (Pan et al. 2024), focal lengths calibrated on the view graph.

    Changes the two-view geometries in `database`: give it a copy.
    """
    pycolmap.calibrate_view_graph(database)
    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = threads
    options.random_seed = SEED
    options.min_model_size = MIN_MODEL_PHOTOS
    models = pycolmap.global_mapping(database, images, _empty(scratch), options)
    return Mapping(attempt=attempt, models=_sorted(models))


def parallax_deg(model: pycolmap.Reconstruction, most_points: int = 2000) -> float:
    """Median over points of the largest angle between two of its rays, in degrees."""
    centers = {
        image_id: model.image(image_id).projection_center() for image_id in model.reg_image_ids()
    }
    points = list(model.points3D.values())
    angles = []
    for point in points[:: max(1, len(points) // most_points)]:
        rays = np.array([centers[e.image_id] - point.xyz for e in point.track.elements])
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
        angles.append(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1.0, 1.0))))
    return float(np.median(angles)) if angles else 0.0


def still_share(database: Path) -> float:
    """Share of verified pairs whose matches hardly move, or move as if the camera only turned."""
    still = total = 0
    flat = {
        int(pycolmap.TwoViewGeometryConfiguration.PANORAMIC),
        int(pycolmap.TwoViewGeometryConfiguration.PLANAR_OR_PANORAMIC),
        int(pycolmap.TwoViewGeometryConfiguration.WATERMARK),
    }
    with pycolmap.Database.open(database) as store:
        sides = {c.camera_id: max(c.width, c.height) for c in store.read_all_cameras()}
        cameras = {i.image_id: i.camera_id for i in store.read_all_images()}
        for pair_id, geometry in zip(*store.read_two_view_geometries(), strict=True):
            first, second = pycolmap.pair_id_to_image_pair(pair_id)
            matches = np.asarray(geometry.inlier_matches)
            if len(matches) == 0 and int(geometry.config) not in flat:
                continue
            total += 1
            if int(geometry.config) in flat:
                still += 1
                continue
            moved = (
                np.asarray(store.read_keypoints(first))[matches[:, 0], :2]
                - np.asarray(store.read_keypoints(second))[matches[:, 1], :2]
            )
            side = sides[cameras[first]]
            still += int(np.median(np.linalg.norm(moved, axis=1)) < STILL_SHARE * side)
    return still / total if total else 0.0


def _sorted(models: dict[int, pycolmap.Reconstruction]) -> list[pycolmap.Reconstruction]:
    return sorted(
        models.values(), key=lambda m: (m.num_reg_images(), m.num_points3D()), reverse=True
    )


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
