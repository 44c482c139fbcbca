"""The final bundle adjustment, with intrinsics as rich as the observations can carry.

Mapping holds the principal point at the picture's centre and one distortion term, which keeps it
stable. Afterwards a second radial term and the principal point pay: on a set with surveyed
cameras they cut the error of the camera centres to a third.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from insaat_cli.engine.colmap_model import NO_POINT, Model
from insaat_cli.engine.lens import Camera

SECOND_TERM_MIN_OBSERVATIONS = 2000
PRINCIPAL_POINT_MIN_PHOTOS = 8
PRINCIPAL_POINT_MIN_OBSERVATIONS = 5000
PRINCIPAL_POINT_MAX_SHIFT = 0.05
"""Share of the longest side; a result beyond it is not a lens but a weak geometry."""
FILTER_ERROR_PX = 2.0
FILTER_ANGLE_DEG = 1.5

Adjust = Callable[[Model, bool], Model]
"""A bundle adjustment; the second argument frees the principal points."""


def refined(model: Model, adjust: Adjust) -> Model:
    """`model` with every camera, pose and point adjusted, and without outliers."""
    photos, observations = dict.fromkeys(model.cameras, 0), dict.fromkeys(model.cameras, 0)
    for image in model.images.values():
        photos[image.camera_id] += 1
        observations[image.camera_id] += int(np.sum(image.point_ids != NO_POINT))
    cameras = {
        key: _with_second_term(camera)
        if observations[key] >= SECOND_TERM_MIN_OBSERVATIONS
        else camera
        for key, camera in model.cameras.items()
    }
    model = adjust(replace(model, cameras=cameras), False)
    used = [key for key, count in photos.items() if count]
    strong = all(
        photos[key] >= PRINCIPAL_POINT_MIN_PHOTOS
        and observations[key] >= PRINCIPAL_POINT_MIN_OBSERVATIONS
        for key in used
    )
    if strong:
        before = model.cameras
        model = adjust(model, True)
        if max(_shift(model.cameras[key]) for key in used) > PRINCIPAL_POINT_MAX_SHIFT:
            model = adjust(replace(model, cameras=before), False)
    return without_outliers(model, FILTER_ERROR_PX, FILTER_ANGLE_DEG)


def without_outliers(model: Model, error_px: float, angle_deg: float) -> Model:
    """`model` without observations off by more than `error_px` pixels, and without points that
    fewer than two photos see then or that all see within `angle_deg`."""
    with np.errstate(invalid="ignore"):
        model = model.with_tracks(model.errors_px() <= error_px)
    points = model.points
    centers = {key: image.center for key, image in model.images.items()}
    wide = np.zeros(len(points), bool)
    limit = np.cos(np.radians(angle_deg))
    for row in range(len(points)):
        seen_from = np.array([centers[key] for key in points.track(row)[0].tolist()])
        rays = seen_from - points.positions[row]
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
        wide[row] = (rays @ rays.T).min() <= limit
    return model.with_tracks(wide[points.rows]).with_errors()


def _with_second_term(camera: Camera) -> Camera:
    if camera.model != "SIMPLE_RADIAL":
        return camera
    return replace(camera, model="RADIAL", params=(*camera.params, 0.0))


def _shift(camera: Camera) -> float:
    x, y = camera.principal_point
    off = max(abs(x - camera.width / 2), abs(y - camera.height / 2))
    return off / max(camera.width, camera.height)
