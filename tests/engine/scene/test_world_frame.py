"""The world frame, on scenes whose gravity, ground and scale are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from insaat_cli.engine.scene.world_frame import (
    SparseScene,
    enu_from_gps,
    find_frame,
    find_ground,
    up_from_cameras,
)

UP = np.array([0.0, 1.0, 0.0])


def look_at(center: np.ndarray, target: np.ndarray, roll_deg: float = 0.0) -> np.ndarray:
    """cam_from_world rotation of a camera held level, then rolled."""
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, UP)
    right /= np.linalg.norm(right)
    level = np.stack([right, np.cross(forward, right), forward])
    return Rotation.from_euler("z", roll_deg, degrees=True).as_matrix() @ level


def make_scene(azimuths_deg: np.ndarray, height: float, rolls: np.ndarray) -> SparseScene:
    """A box of points on a ground at y = 0, photographed from a ring or part of one."""
    generator = np.random.default_rng(3)
    box = generator.uniform([-0.5, 0.0, -0.5], [0.5, 1.2, 0.5], (600, 3))
    ground = generator.uniform([-2.0, 0.0, -2.0], [2.0, 0.0, 2.0], (600, 3))
    angles = np.radians(azimuths_deg)
    centers = np.stack([4 * np.sin(angles), np.full(len(angles), height), 4 * np.cos(angles)], 1)
    target = np.array([0.0, 0.5, 0.0])
    rotations = np.stack([look_at(c, target, r) for c, r in zip(centers, rolls, strict=True)])
    return SparseScene(
        cam_from_world=rotations, centers=centers, points=np.concatenate([box, ground])
    )


def disturb(scene: SparseScene, seed: int = 7) -> tuple[SparseScene, np.ndarray]:
    """The scene in an arbitrary frame, and the rotation into it."""
    rotation = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    shift, scale = np.array([3.0, -8.0, 5.0]), 0.37
    return (
        SparseScene(
            cam_from_world=scene.cam_from_world @ rotation.T,
            centers=scale * scene.centers @ rotation.T + shift,
            points=scale * scene.points @ rotation.T + shift,
        ),
        rotation,
    )


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize(
    ("azimuths", "height"),
    [(np.arange(0, 360, 20), 3.0), (np.arange(0, 180, 15), 3.0), (np.arange(-30, 31, 6), 0.5)],
    ids=["ring from above", "half ring from above", "facade"],
)
def test_up_points_up(azimuths: np.ndarray, height: float) -> None:
    rolls = np.random.default_rng(1).normal(0, 1.5, len(azimuths))
    scene, rotation = disturb(make_scene(azimuths, height, rolls))
    assert angle_deg(up_from_cameras(scene.cam_from_world), rotation @ UP) < 3.0


def test_portraits_without_orientation_do_not_tilt_the_world() -> None:
    azimuths = np.arange(0, 360, 15)
    rolls = np.where(np.arange(len(azimuths)) % 4 == 0, 90.0, 0.0)
    scene, rotation = disturb(make_scene(azimuths, 1.0, rolls))
    assert angle_deg(up_from_cameras(scene.cam_from_world), rotation @ UP) < 1.0


def test_straight_down_is_not_upside_down() -> None:
    headings = np.arange(0, 360, 30)
    nadir = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    spins = Rotation.from_rotvec(np.radians(headings)[:, None] * [0.0, 0.0, 1.0]).as_matrix()
    assert angle_deg(up_from_cameras(spins @ nadir), UP) < 1.0


def test_ground_is_found_and_becomes_zero() -> None:
    rolls = np.random.default_rng(2).normal(0, 3.0, 18)
    scene, rotation = disturb(make_scene(np.arange(0, 360, 20), 3.0, rolls))
    frame = find_frame(scene)
    aligned = frame.world_from_model.apply(scene.points)
    assert frame.up_from == "cameras and ground"
    assert angle_deg(frame.world_from_model.rotation @ rotation @ UP, UP) < 0.2
    assert np.abs(aligned[600:, 1]).max() < 0.02
    assert aligned[:600, 1].max() > 0.3
    assert np.abs(np.median(aligned[:, [0, 2]], axis=0)).max() < 0.1
    assert np.linalg.det(frame.world_from_model.rotation) == pytest.approx(1.0)


def test_a_wall_is_no_ground() -> None:
    generator = np.random.default_rng(5)
    wall = generator.uniform([-2, 0, 0], [2, 3, 0.02], (900, 3))
    scene = make_scene(np.arange(-30, 31, 6), 1.0, np.zeros(11))
    facade = SparseScene(cam_from_world=scene.cam_from_world, centers=scene.centers, points=wall)
    assert find_ground(facade, UP) is None
    frame = find_frame(facade)
    assert frame.up_from == "cameras"
    # The side from which the photos look is the front: +Z.
    assert frame.world_from_model.apply(scene.centers)[:, 2].mean() > 0.5


def test_a_floor_with_few_points_is_found_where_gravity_is_known() -> None:
    """A room: 2 % of the points on its floor, more on table and shelf, some outside and lower."""
    generator = np.random.default_rng(6)
    walls = generator.uniform([-2.5, 0.1, -2.0], [2.5, 2.6, 2.0], (3000, 3))
    table = generator.uniform([-1.0, 0.75, -0.5], [0.5, 0.75, 0.5], (600, 3))
    floor = generator.uniform([-2.0, 0.0, -1.5], [2.0, 0.004, 1.5], (80, 3))
    outside = generator.uniform([-9.0, -1.5, 6.0], [9.0, -1.5, 20.0], (400, 3))
    angles = np.radians(np.arange(0, 360, 12))
    height = 1.5 + generator.normal(0, 0.05, len(angles))
    centers = np.stack([1.8 * np.sin(angles), height, 1.3 * np.cos(angles)], axis=1)
    rolls = generator.normal(2.0, 2.0, len(angles))
    rotations = [look_at(c, -c * [1, 0, 1] + UP, r) for c, r in zip(centers, rolls, strict=True)]
    scene = SparseScene(
        cam_from_world=np.stack(rotations),
        centers=centers,
        points=np.concatenate([walls, table, floor, outside]),
    )
    disturbed, rotation = disturb(scene)
    frame = find_frame(disturbed, None, rotation @ UP)
    assert frame.up_from == "plumb lines and ground"
    assert angle_deg(frame.world_from_model.rotation @ rotation @ UP, UP) < 1e-5
    heights = frame.world_from_model.apply(disturbed.points)[3600:3680, 1]
    assert np.abs(heights).max() < 0.01


def test_gps_gives_metres_and_north() -> None:
    scene = make_scene(np.arange(0, 360, 20), 3.0, np.zeros(18))
    metres = 10.0 * scene.centers
    noise = np.random.default_rng(4).normal(0, 0.3, (18, 3))
    enu = np.stack([metres[:, 0], -metres[:, 2], metres[:, 1]], axis=1) + noise
    enu[3] = np.nan
    disturbed, rotation = disturb(scene)
    frame = find_frame(disturbed, enu)
    assert frame.metric
    assert frame.world_from_model.scale * 0.37 == pytest.approx(10.0, rel=0.02)
    assert angle_deg(frame.world_from_model.rotation @ rotation @ UP, UP) < 1.5
    east = frame.world_from_model.rotation @ rotation @ np.array([1.0, 0, 0])
    assert angle_deg(east, np.array([1.0, 0, 0])) < 1.5


def test_gps_too_coarse_for_the_subject_is_left_aside() -> None:
    scene = make_scene(np.arange(0, 360, 20), 3.0, np.zeros(18))
    enu = np.random.default_rng(4).normal(0, 5.0, (18, 3))
    assert not find_frame(scene, enu).metric


def test_degrees_become_metres() -> None:
    enu = enu_from_gps([(60.0, 10.0, 5.0), (60.001, 10.0, 5.0), None, (60.0, 10.002, 7.0)])
    assert enu[1, 1] - enu[0, 1] == pytest.approx(111.3, abs=0.2)
    assert enu[3, 0] - enu[0, 0] == pytest.approx(111.3, abs=0.3)
    assert np.isnan(enu[2]).all()
