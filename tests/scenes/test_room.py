"""The room's truth: where a camera stands, what it sees, and that plaster is nearly blank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.scenes import SceneTruth, Subject, make_photo_set
from insaat_cli.scenes.furniture import Material
from insaat_cli.scenes.photograph import Sensor
from insaat_cli.scenes.room import HALF, HEIGHT, WINDOW

QUIET = Sensor(noise=0.0, vignetting=0.0, exposure_spread=0.0)
SIZE = (320, 240)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> SceneTruth:
    folder: Path = tmp_path_factory.mktemp("room")
    return make_photo_set(
        folder, photos=6, width=SIZE[0], height=SIZE[1], subject=Subject.ROOM, sensor=QUIET
    )


def test_cameras_stand_inside_at_eye_height_and_look_across(room: SceneTruth) -> None:
    for camera in room.cameras:
        x, y, z = camera.centre
        assert abs(x) < HALF[0] - 0.4 and abs(y) < HALF[1] - 0.4 and 1.2 < z < 1.8
        assert camera.R[2, :2] @ camera.centre[:2] < 0, "it looks at the wall behind it"
        assert camera.R[1, 2] < -0.8, "the image is upside down"


def test_surfaces_face_the_room_and_lie_within_it(room: SceneTruth) -> None:
    mesh = room.mesh
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    np.testing.assert_allclose(low, [-HALF[0], -HALF[1], 0.0], atol=1e-9)
    np.testing.assert_allclose(high[[0, 2]], [HALF[0], HEIGHT], atol=1e-9)
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    facing = (across * mesh.normals[mesh.faces[:, 0]]).sum(axis=1)
    assert (facing > 0).mean() > 0.99


def test_nothing_is_in_the_window_but_its_bars(room: SceneTruth) -> None:
    """Glass is no surface: a ray through a pane meets nothing."""
    eye = np.array([0.3, 0.0, 1.5])
    R = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    K = np.array([[100.0, 0, 50], [0, 100.0, 50], [0, 0, 1]])
    depth = rasterize((room.mesh.vertices - eye) @ R.T, room.mesh.faces, K, 100, 100).depth
    pane_x = WINDOW.x[0] + 0.3 * (WINDOW.x[1] - WINDOW.x[0])
    column = int(50 + 100 * (pane_x - eye[0]) / WINDOW.y)
    assert np.isinf(depth[45, column])
    assert np.isfinite(depth).mean() > 0.5


def test_plaster_is_blank_and_the_floor_is_not(room: SceneTruth) -> None:
    contrast = {}
    for kind in (Material.PLAIN, Material.PLANKS):
        shares = []
        for camera in room.cameras:
            face = rasterize(
                room.mesh.vertices @ camera.R.T + camera.t, room.mesh.faces, camera.lens.K, *SIZE
            ).face
            of_kind = (face >= 0) & (
                room.mesh.paint[room.mesh.faces[np.maximum(face, 0), 0], 3] == kind
            )
            grey = np.asarray(Image.open(room.images / camera.name).convert("L"), float)
            step = np.abs(np.diff(grey, axis=1))
            inner = of_kind[:, 1:] & of_kind[:, :-1]
            shares.append(np.median(step[inner]) if inner.sum() > 500 else np.nan)
        contrast[kind] = np.nanmedian(shares)
    assert contrast[Material.PLAIN] <= 1.0
    assert contrast[Material.PLANKS] > 2 * contrast[Material.PLAIN]
