"""Turning on the spot is told from walking past a wall and from standing still."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.colmap.database import CALIBRATED, open_database
from insaat_cli.engine.sfm.turning_on_the_spot import directions, only_turned, turned_photos

CAMERA = Camera(
    camera_id=1,
    model="SIMPLE_RADIAL",
    width=1600,
    height=1200,
    params=(1200.0, 800.0, 600.0, -0.05),
)


def seen(points: np.ndarray, center: np.ndarray, yaw_deg: float) -> np.ndarray:
    """Directions [n, 3], half a pixel off, of points as a camera at `center` sees them."""
    rotation = Rotation.from_euler("y", yaw_deg, degrees=True).as_matrix()
    rays = (points - center) @ rotation.T
    rays = rays[:, :2] / rays[:, 2:] + np.random.default_rng(1).normal(
        0, 0.5 / 1200, (len(rays), 2)
    )
    rays = np.column_stack([rays, np.ones(len(rays))])
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def room(flat: bool) -> np.ndarray:
    generator = np.random.default_rng(2)
    depth = 4.0 if flat else generator.uniform(2.0, 5.0, 200)
    x, y = generator.uniform([-1.2, -1.0], [1.2, 1.0], (200, 2)).T
    return np.column_stack([x, y, np.broadcast_to(depth, 200)])


@pytest.mark.parametrize("flat", [True, False], ids=["a wall", "a room"])
@pytest.mark.parametrize(
    ("step", "yaw_deg", "turned"),
    [(0.0, 12.0, True), (0.4, 12.0, False), (0.4, 0.0, False), (0.0, 0.0, False)],
    ids=["turned", "walked and turned", "walked", "still"],
)
def test_one_rotation_explains_what_was_taken_from_one_place(
    flat: bool, step: float, yaw_deg: float, turned: bool
) -> None:
    points = room(flat)
    first, second = seen(points, np.zeros(3), 0.0), seen(points, np.array([step, 0, 0]), yaw_deg)
    second[:20] = second[20:40]  # matches that are wrong
    assert only_turned(first, second) is turned


def test_photos_that_only_turned_are_named(tmp_path: Path) -> None:
    """Of four photos from one place, and two from others, the four."""
    points = room(flat=False)
    places = [(0.0, -9.0), (0.0, -3.0), (0.0, 3.0), (0.0, 9.0), (0.6, 3.0), (1.2, 0.0)]
    pixels = []
    for step, yaw_deg in places:
        rays = seen(points, np.array([step, 0.0, 0.0]), yaw_deg)
        plane = rays[:, :2] / rays[:, 2:]
        bent = plane * (1 - 0.05 * (plane**2).sum(axis=1, keepdims=True))
        pixels.append(1200.0 * bent + [800.0, 600.0])
    rows = np.column_stack([np.arange(200), np.arange(200)]).astype(np.uint32)
    with open_database(tmp_path / "database.db") as store:
        store.write_camera(CAMERA, focal_is_known=True)
        for number, xy in enumerate(pixels, start=1):
            store.write_image(number, f"{number}.jpg", 1)
            keypoints = np.column_stack([xy, np.ones((200, 2))]).astype(np.float32)
            store.write_features(number, keypoints, np.zeros((200, 128), np.uint8))
        for i, j in [(1, 2), (2, 3), (3, 4), (1, 3), (2, 4), (5, 6)]:
            store.write_geometry(i, j, CALIBRATED, rows, np.eye(3))
    cameras = dict.fromkeys(range(1, 7), CAMERA)
    assert turned_photos(tmp_path / "database.db", cameras) == [1, 2, 3, 4]


def test_directions_are_straight(tmp_path: Path) -> None:
    rays = directions(CAMERA, np.array([[800.0, 600.0], [1400.0, 600.0]]))
    angle_deg = np.degrees(np.arccos(rays[0] @ rays[1]))
    assert angle_deg > np.degrees(np.arctan(0.5))
