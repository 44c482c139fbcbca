"""The final bundle adjustment, with intrinsics as rich as the observations can carry.

Mapping holds the principal point at the picture's centre and one distortion term, which keeps it
stable. Afterwards a second radial term and the principal point pay: on a set with surveyed
cameras they cut the error of the camera centres to a third.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pycolmap

SECOND_TERM_MIN_OBSERVATIONS = 2000
PRINCIPAL_POINT_MIN_PHOTOS = 8
PRINCIPAL_POINT_MIN_OBSERVATIONS = 5000
PRINCIPAL_POINT_MAX_SHIFT = 0.05
"""Share of the longest side; a result beyond it is not a lens but a weak geometry."""
LOSS_SCALE_PX = 0.5
FUNCTION_TOLERANCE = 1e-6
MAX_ITERATIONS = 50
FILTER_ERROR_PX = 2.0
FILTER_ANGLE_DEG = 1.5


def refine(model: pycolmap.Reconstruction, *, threads: int) -> None:
    """Adjust every camera, pose and point of `model` in place, robustly, then drop outliers."""
    photos: Counter[int] = Counter()
    observations: Counter[int] = Counter()
    for image_id in model.reg_image_ids():
        image = model.image(image_id)
        photos[image.camera_id] += 1
        observations[image.camera_id] += image.num_points3D
    for camera_id, count in observations.items():
        if count >= SECOND_TERM_MIN_OBSERVATIONS:
            _add_second_term(model.camera(camera_id))
    _adjust(model, threads=threads, principal_point=False)
    strong = all(
        photos[camera_id] >= PRINCIPAL_POINT_MIN_PHOTOS
        and observations[camera_id] >= PRINCIPAL_POINT_MIN_OBSERVATIONS
        for camera_id in photos
    )
    if strong:
        before = {camera_id: list(model.camera(camera_id).params) for camera_id in photos}
        _adjust(model, threads=threads, principal_point=True)
        if max(_shift(model.camera(camera_id)) for camera_id in photos) > PRINCIPAL_POINT_MAX_SHIFT:
            for camera_id, params in before.items():
                model.camera(camera_id).params = params
            _adjust(model, threads=threads, principal_point=False)
    observed = pycolmap.ObservationManager(model)
    observed.filter_all_points3D(FILTER_ERROR_PX, FILTER_ANGLE_DEG)
    model.update_point_3d_errors()


def _add_second_term(camera: pycolmap.Camera) -> None:
    if camera.model != pycolmap.CameraModelId.SIMPLE_RADIAL:
        return
    params = [*camera.params, 0.0]
    camera.model = pycolmap.CameraModelId.RADIAL
    camera.params = params


def _shift(camera: pycolmap.Camera) -> float:
    centre = np.array([camera.width, camera.height]) / 2
    point = np.array([camera.principal_point_x, camera.principal_point_y])
    return float(np.abs(point - centre).max() / max(camera.width, camera.height))


def _adjust(model: pycolmap.Reconstruction, *, threads: int, principal_point: bool) -> None:
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_principal_point = principal_point
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = LOSS_SCALE_PX
    options.ceres.solver_options.num_threads = threads
    options.ceres.solver_options.function_tolerance = FUNCTION_TOLERANCE
    options.ceres.solver_options.max_num_iterations = MAX_ITERATIONS
    pycolmap.bundle_adjustment(model, options)
