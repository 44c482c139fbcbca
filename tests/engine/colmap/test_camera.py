"""Our camera models against COLMAP's own."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest

from insaat_cli.engine.colmap.camera import PARAMETERS, Camera, project, unproject
from insaat_cli.engine.sfm.undistortion import pinhole_view

WIDTH, HEIGHT = 1000, 700
PARAMS = {
    "SIMPLE_PINHOLE": (900, 490, 355),
    "PINHOLE": (900, 910, 490, 355),
    "SIMPLE_RADIAL": (900, 490, 355, -0.12),
    "RADIAL": (900, 490, 355, -0.25, 0.3),
    "OPENCV": (900, 910, 490, 355, -0.2, 0.1, 0.003, -0.002),
    "OPENCV_FISHEYE": (700, 710, 490, 355, 0.03, -0.01, 0.004, -0.001),
    "FULL_OPENCV": (900, 910, 490, 355, -0.2, 0.1, 0.003, -0.002, 0.02, 0.01, 0.02, 0.01),
}


def both(model: str) -> tuple[Camera, pycolmap.Camera]:
    ours = Camera(camera_id=1, model=model, width=WIDTH, height=HEIGHT, params=PARAMS[model])
    theirs = pycolmap.Camera(
        camera_id=1, model=model, width=WIDTH, height=HEIGHT, params=list(PARAMS[model])
    )
    return ours, theirs


def test_models_have_colmaps_numbers_and_parameters() -> None:
    for number, (model, names) in enumerate(PARAMETERS.items()):
        theirs = both(model)[1]
        assert int(theirs.model) == number
        assert tuple(theirs.params_info.replace(" ", "").split(",")) == names


@pytest.mark.parametrize("model", PARAMETERS)
def test_rays_and_pixels_are_colmaps(model: str) -> None:
    ours, theirs = both(model)
    rays = np.random.default_rng(1).uniform([-0.5, -0.35, 1], [0.5, 0.35, 1], (200, 3))
    pixels = np.asarray(theirs.img_from_cam(rays))
    np.testing.assert_allclose(project(ours, 3 * rays), pixels, atol=1e-9)
    np.testing.assert_allclose(unproject(ours, pixels), rays[:, :2], atol=1e-9)
    np.testing.assert_allclose(ours.calibration_matrix(), theirs.calibration_matrix())


def test_what_lies_behind_has_no_pixel() -> None:
    ours, _ = both("RADIAL")
    assert np.isnan(project(ours, np.array([[0.1, 0.1, -1.0]]))).all()


@pytest.mark.parametrize("model", PARAMETERS)
def test_pinhole_views_are_as_large_as_colmaps(model: str) -> None:
    ours, theirs = both(model)
    options = pycolmap.UndistortCameraOptions()
    options.blank_pixels = 0.0
    fitted = pycolmap.undistort_camera(options, theirs)
    view = pinhole_view(ours)
    assert (view.width, view.height) == (fitted.width, fitted.height)
    np.testing.assert_allclose(
        view.camera.principal_point, [fitted.principal_point_x, fitted.principal_point_y]
    )
