"""Neighbours see the same points under a useful angle."""

import numpy as np
from tests.engine.plane_scene import camera

from insaat_cli.engine.scene.views import Scene
from insaat_cli.engine.stereo.neighbours import angle_weight, depth_range, select_neighbours


def orbit(angles_deg):
    radians = np.radians(angles_deg)
    centers = [(3 * np.sin(a), 0.0, -3 * np.cos(a)) for a in radians]
    views = [camera(center, (0, 0, 0)) for center in centers]
    points = np.random.default_rng(1).uniform(-0.3, 0.3, (50, 3))
    return Scene(views=views, points=points, seen=[np.arange(50)] * len(views))


def test_neighbours_are_neither_too_near_nor_too_far():
    scene = orbit([0, 1, 12, -12, 60])
    assert sorted(select_neighbours(scene, 2)[0]) == [2, 3]


def test_a_view_without_shared_points_has_no_neighbours():
    scene = orbit([0, 12])
    lone = Scene(views=scene.views, points=scene.points, seen=[np.arange(25), np.arange(25, 50)])
    assert select_neighbours(lone, 4) == [[], []]


def test_more_neighbours_begin_with_the_same_ones():
    scene = orbit([0, 8, -9, 14, -16, 25])
    assert select_neighbours(scene, 4)[0][:2] == select_neighbours(scene, 2)[0]


def test_angle_weight_falls_on_both_sides():
    weight = angle_weight(np.array([0.0, 2.0, 12.0, 40.0]))
    assert weight[0] == 0
    assert weight[1] < weight[2] == 1 > weight[3]


def test_depth_range_spans_the_points():
    near, far = depth_range(orbit([0, 12]), 0)
    assert 2.6 < near < 2.9 < 3.1 < far < 3.4


def test_a_resized_camera_sees_points_at_the_same_place():
    view = camera((1, 0.5, -3), (0, 0, 0))
    small = view.resized(140, 105)
    point = view.R @ np.array([0.2, -0.1, 0.3]) + view.t
    full, half = view.K @ point, small.K @ point
    assert np.allclose((full[:2] / full[2] + 0.5) / 2, half[:2] / half[2] + 0.5)
