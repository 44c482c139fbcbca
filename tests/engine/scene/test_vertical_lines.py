"""Gravity from plumb edges: found where people built, left open where edges scatter."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.scene.vertical_lines import plumb_lines, segment_planes

UP = np.array([0.0, 1.0, 0.0])
GUESS = Rotation.from_euler("xz", [2.5, -3.0], degrees=True).apply(UP)
"""What cameras held with an unsteady hand say."""


def edges(count: int, scatter_deg: float, headings_deg: float = 360.0) -> np.ndarray:
    """Normals of planes through edges that are plumb but for `scatter_deg`."""
    generator = np.random.default_rng(4)
    angle = np.radians(generator.uniform(0, headings_deg, count))
    off = np.radians(generator.normal(0, scatter_deg, count))
    level = np.stack([np.cos(angle), np.zeros(count), np.sin(angle)], axis=1)
    return np.cos(off)[:, None] * level + np.sin(off)[:, None] * UP


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def test_plumb_edges_tell_what_cameras_tell_roughly() -> None:
    normals = np.concatenate([edges(200, 0.2), edges(60, 8.0)])
    found = plumb_lines(normals, np.arange(len(normals)) % 12, GUESS)
    assert found is not None
    assert angle_deg(found.up, UP) < 0.1
    assert found.photos == 12


def test_edges_in_all_directions_tell_nothing() -> None:
    normals = np.random.default_rng(2).normal(size=(4000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    assert plumb_lines(normals, np.arange(len(normals)) % 12, GUESS) is None


def test_edges_of_a_thing_that_stands_askew_tell_nothing_where_others_differ() -> None:
    """Half of the edges belong to a bag that leans by three degrees."""
    lean = Rotation.from_euler("z", 3.0, degrees=True).as_matrix()
    normals = np.concatenate([edges(100, 0.3), edges(100, 0.3) @ lean.T])
    assert plumb_lines(normals, np.arange(len(normals)) % 12, UP) is None


def test_edges_seen_from_one_side_only_do_not_tell_the_tilt_towards_it() -> None:
    normals = edges(200, 0.2, headings_deg=2.0)
    assert plumb_lines(normals, np.arange(len(normals)) % 12, GUESS) is None


def test_a_door_in_a_bent_photo_is_plumb(tmp_path: Path) -> None:
    camera = Camera(
        camera_id=1,
        model="SIMPLE_RADIAL",
        width=1200,
        height=900,
        params=(840.0, 600.0, 450.0, 0.0),
    )
    picture = np.full((900, 1200), 210, np.uint8)
    cv2.rectangle(picture, (300, 200), (560, 899), 90, -1)
    cv2.rectangle(picture, (800, 150), (1100, 500), 130, -1)
    path = tmp_path / "door.png"
    cv2.imwrite(str(path), picture)
    normals = segment_planes(path, camera)
    vertical = np.abs(normals @ UP) < np.sin(np.radians(0.3))
    assert vertical.sum() >= 4
    assert segment_planes(tmp_path / "absent.png", camera).shape == (0, 3)
