"""What a bundle adjustment may change, by how the photos look at the scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from insaat_cli.engine.colmap import camera
from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.colmap.model import Floats, Model, PlacedImage, Points, with_points
from insaat_cli.engine.sfm.bundle_adjustment import (
    Free,
    look_along_one_direction,
    refined,
    with_focal,
)

FOCAL_PX = 600.0
POINTS, PHOTOS = 600, 10


def scene(tilts_deg: Sequence[float], *, cameras: int = 1, seed: int = 0) -> Model:
    """Points seen by cameras tilted about their x axes and turned about their own axes."""
    generator = np.random.default_rng(seed)
    positions = generator.uniform(-1, 1, (POINTS, 3)) + np.array([0, 0, 5])
    lenses = {
        key: Camera(
            camera_id=key,
            model="SIMPLE_RADIAL",
            width=640,
            height=480,
            params=(FOCAL_PX * key, 320.0, 240.0, 0.01),
        )
        for key in range(1, cameras + 1)
    }
    images = {}
    for index, tilt_deg in enumerate(tilts_deg):
        roll_deg = 90.0 * index
        rotation = Rotation.from_euler("xz", [tilt_deg, roll_deg], degrees=True).as_matrix()
        center = generator.uniform(-0.5, 0.5, 3)
        pose = np.column_stack([rotation, -rotation @ center])
        camera_id = 1 + index % cameras
        pixels = camera.project(lenses[camera_id], positions @ pose[:, :3].T + pose[:, 3])
        images[index + 1] = PlacedImage(
            image_id=index + 1,
            name=f"{index}.jpg",
            camera_id=camera_id,
            cam_from_world=pose,
            pixels=pixels,
            point_ids=np.zeros(0, np.int64),
        )
    seen = len(images)
    points = Points(
        ids=np.arange(POINTS),
        positions=positions,
        colors=np.zeros((POINTS, 3), np.uint8),
        errors=np.zeros(POINTS),
        starts=np.arange(POINTS + 1) * seen,
        track_images=np.tile(np.array(list(images)), POINTS),
        track_pixels=np.repeat(np.arange(POINTS), seen),
    )
    return with_points(lenses, images, points)


class Recorder:
    """A bundle adjustment that only remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Free, float]] = []

    def __call__(self, model: Model, free: Free) -> Model:
        self.asked.append((free, model.cameras[1].focal_px[0]))
        return model


PARALLEL = [0.0] * PHOTOS
AROUND = [3.0 * index for index in range(PHOTOS)]


def test_parallel_axes_hide_the_focal_length() -> None:
    model = scene(PARALLEL, cameras=2)
    other = with_focal(model, {1: 1.1 * FOCAL_PX, 2: 2.2 * FOCAL_PX})
    assert np.nanmax(other.errors_px()) < 1e-9
    assert other.cameras[2].focal_px == (2.2 * FOCAL_PX, 2.2 * FOCAL_PX)
    assert other.cameras[1].principal_point == (320.0, 240.0)
    depth = np.ptp(other.points.positions[:, 2]) / np.ptp(model.points.positions[:, 2])
    assert depth == pytest.approx(1.1)
    np.testing.assert_allclose(other.points.positions[:, :2], model.points.positions[:, :2])


def test_the_scene_is_stretched_along_the_axes_wherever_they_point() -> None:
    turned = Rotation.from_euler("xyz", [20, 130, -70], degrees=True).as_matrix()
    model = scene(PARALLEL).moved(2.0, turned, np.array([1.0, -2.0, 3.0]))
    assert np.nanmax(with_focal(model, {1: 0.8 * FOCAL_PX}).errors_px()) < 1e-9


@pytest.mark.parametrize(
    ("tilts_deg", "parallel"),
    [(PARALLEL, True), ([0.0] * 9 + [0.9], True), ([0.0] * 9 + [1.5], False), (AROUND, False)],
)
def test_one_direction(tilts_deg: list[float], parallel: bool) -> None:
    assert look_along_one_direction(scene(tilts_deg)) is parallel


def test_exif_holds_what_the_photos_do_not_tell() -> None:
    adjust, drifted = Recorder(), with_focal(scene(PARALLEL), {1: 1.13 * FOCAL_PX})
    model = refined(drifted, adjust, {1: FOCAL_PX})
    assert adjust.asked == [(Free(focal_length=False), FOCAL_PX)]
    truth = scene(PARALLEL).points.positions
    np.testing.assert_allclose(_sizes(model.points.positions), _sizes(truth), rtol=1e-9)


def test_without_exif_the_focal_length_is_left_as_found() -> None:
    adjust = Recorder()
    refined(scene(PARALLEL, cameras=2), adjust, {1: 500.0})
    assert adjust.asked == [(Free(), FOCAL_PX)]


def test_photos_from_around_tell_more_than_exif() -> None:
    adjust = Recorder()
    refined(scene(AROUND), adjust, {1: 500.0})
    assert adjust.asked == [(Free(), FOCAL_PX), (Free(principal_point=True), FOCAL_PX)]


def _sizes(positions: Floats) -> Floats:
    return np.asarray(np.ptp(positions, axis=0))
