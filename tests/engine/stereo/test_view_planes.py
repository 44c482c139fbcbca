"""Planes of a view: found exactly, the same in another view's frame, doubles left out."""

import numpy as np
from tests.engine.plain_scene import Sheet, row_of_cameras, shoot

from insaat_cli.engine.stereo.superpixels import superpixels
from insaat_cli.engine.stereo.view_planes import (
    PlaneSearch,
    find_planes,
    moved_planes,
    rays_through,
    without_doubles,
)

WALL = Sheet(middle=(0, 1.5, 3), right=(3, 0, 1), up=(0, 2, 0), color=(150, 140, 130))
GROUND = Sheet(middle=(0, 0, 0), right=(6, 0, 0), up=(0, 0, 3), color=(90, 80, 60))
VIEWS = row_of_cameras(1.4, 2.5, (0.0, 1.2, 3.0))


def planes_of(view):
    shot = shoot(view, [WALL, GROUND], (0, 0, 0))
    pieces = superpixels(shot.rgb, 8)
    return shot, find_planes(view, pieces.labels, pieces.area, shot.truth, PlaneSearch())


def test_a_wall_and_the_ground_are_found_and_made_exactly_upright_and_level():
    shot, planes = planes_of(VIEWS[0])
    up = planes[:2] @ VIEWS[0].R[:, 1] / np.linalg.norm(planes[:2], axis=1)
    assert np.allclose(sorted(np.abs(up)), [0, 1], atol=1e-3)
    v, u = np.nonzero(shot.truth)
    w = rays_through(VIEWS[0], np.column_stack([u, v])) @ planes[:2].T
    off = np.abs(w * shot.truth[v, u][:, None] - 1).min(axis=1)
    assert np.percentile(off, 99) < 0.003


def test_planes_are_the_same_places_in_another_view():
    _, planes = planes_of(VIEWS[0])
    other = shoot(VIEWS[3], [WALL, GROUND], (0, 0, 0))
    moved = moved_planes(planes[:2], VIEWS[0], VIEWS[3])
    v, u = np.nonzero(other.truth)
    w = rays_through(VIEWS[3], np.column_stack([u, v])) @ moved.T
    off = np.abs(w * other.truth[v, u][:, None] - 1).min(axis=1)
    assert np.percentile(off, 99) < 0.004
    assert np.allclose(moved_planes(moved, VIEWS[3], VIEWS[0]), planes[:2])


def test_doubles_are_left_out():
    _, planes = planes_of(VIEWS[0])
    twice = np.concatenate([planes[:2], planes[:2] * 1.002, planes[:2] * 1.05])
    assert len(without_doubles(twice, VIEWS[0], 0.006, 40)) == 4
    assert len(without_doubles(twice, VIEWS[0], 0.006, 3)) == 3
