"""The final bundle adjustment, with intrinsics as rich as the observations can carry.

Mapping holds the principal point at the picture's centre and one distortion term, which keeps it
stable. Afterwards a second radial term and the principal point pay: on a set with surveyed
cameras they cut the error of the camera centres to a third.

Photos that all look along one direction (a drone's camera straight down, a facade photographed
squarely) do not tell the focal length: one s times as long, of a scene s times as deep, gives the
same photos (Kahl, Triggs and Astrom 2000, Critical motions for auto-calibration when some
intrinsic parameters can vary). Nor do they tell the principal point: it shears the scene. Such
sets keep the focal length that their EXIF states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.colmap.model import NO_POINT, Floats, Model

SECOND_TERM_MIN_OBSERVATIONS = 2000
PRINCIPAL_POINT_MIN_PHOTOS = 8
PRINCIPAL_POINT_MIN_OBSERVATIONS = 5000
PRINCIPAL_POINT_MAX_SHIFT = 0.05
"""Share of the longest side; a result beyond it is not a lens but a weak geometry."""
FILTER_ERROR_PX = 2.0
FILTER_ANGLE_DEG = 1.5

PARALLEL_AXES_DEG = 1.0
"""There a focal length off by a tenth moves what is in the corners of a photo of 2000 pixels and
60 degrees by one pixel. A fifth of that no camera keeps, and EXIF is as good as that: 2 %."""


@dataclass(frozen=True, kw_only=True)
class Free:
    """Intrinsics that a bundle adjustment may change, beside the distortion."""

    focal_length: bool = True
    principal_point: bool = False


Adjust = Callable[[Model, Free], Model]


def refined(model: Model, adjust: Adjust, exif_focal_px: Mapping[int, float]) -> Model:
    """`model` with every camera, pose and point adjusted, and without outliers.

    `exif_focal_px` holds the focal length of every camera id whose photos state one.
    """
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
    model = replace(model, cameras=cameras)
    used = [key for key, count in photos.items() if count]
    if look_along_one_direction(model):
        if all(key in exif_focal_px for key in used):
            model = adjust(with_focal(model, exif_focal_px), Free(focal_length=False))
        else:
            model = adjust(model, Free())
        return without_outliers(model, FILTER_ERROR_PX, FILTER_ANGLE_DEG)
    model = adjust(model, Free())
    strong = all(
        photos[key] >= PRINCIPAL_POINT_MIN_PHOTOS
        and observations[key] >= PRINCIPAL_POINT_MIN_OBSERVATIONS
        for key in used
    )
    if strong:
        before = model.cameras
        model = adjust(model, Free(principal_point=True))
        if max(_shift(model.cameras[key]) for key in used) > PRINCIPAL_POINT_MAX_SHIFT:
            model = adjust(replace(model, cameras=before), Free())
    return without_outliers(model, FILTER_ERROR_PX, FILTER_ANGLE_DEG)


def look_along_one_direction(model: Model) -> bool:
    """Whether all optical axes are parallel, as far as the focal length is concerned."""
    axes = _axes(model)
    spread = np.arccos(np.clip(axes @ _mean(axes), -1.0, 1.0))
    return bool(np.degrees(spread.max()) < PARALLEL_AXES_DEG)


def with_focal(model: Model, focal_px: Mapping[int, float]) -> Model:
    """`model`, seen along one direction, with other focal lengths (by camera id), and as much
    deeper or flatter as that makes it: its photos stay the same."""
    cameras = dict(model.cameras)
    ratios = []
    for image in model.images.values():
        camera = model.cameras[image.camera_id]
        ratios.append(focal_px[image.camera_id] / camera.focal_px[0])
        cameras[image.camera_id] = camera.with_focal(focal_px[image.camera_id])
    axis = _mean(_axes(model))
    stretch = np.eye(3) + (np.median(ratios) - 1) * np.outer(axis, axis)
    images = {}
    for key, image in model.images.items():
        rotation = image.cam_from_world[:, :3]
        pose = np.column_stack([rotation, -rotation @ stretch @ image.center])
        images[key] = replace(image, cam_from_world=pose)
    points = replace(model.points, positions=model.points.positions @ stretch)
    return Model(cameras=cameras, images=images, points=points)


def _axes(model: Model) -> Floats:
    """[n, 3] unit vectors along which the photos look."""
    return np.array([image.cam_from_world[2, :3] for image in model.images.values()])


def _mean(axes: Floats) -> Floats:
    total = axes.sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12))


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
