"""Only what several views agree on is fused, and grid cells hold weighted means."""

import numpy as np
import pytest
from tests.engine.plane_scene import SLANTED, plane_scene, true_depth

from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap
from insaat_cli.engine.surface.depth_fusion import (
    Agreement,
    CellGrid,
    agreed_depth,
    neighbour_counts,
)


@pytest.fixture(scope="module")
def views():
    return plane_scene(SLANTED)[0].views


def true_map(view):
    depth = true_depth(view, SLANTED).astype(np.float32)
    normals = np.empty((*depth.shape, 3), np.int8)
    normals[:] = np.rint(view.R @ SLANTED * NORMAL_SCALE)
    return DepthMap(depth=depth, normals=normals, confidence=np.full(depth.shape, 255, np.uint8))


def test_true_depth_agrees_and_outliers_do_not(views):
    maps = [true_map(view) for view in views]
    wrong = np.zeros(maps[0].depth.shape, bool)
    wrong[40:60, 50:70] = True
    maps[0].depth[wrong] *= 1.05
    depth, support = agreed_depth(views[0], maps[0], views[1:], maps[1:], Agreement())
    assert not depth[wrong].any()
    inner = ~wrong
    inner[:50], inner[-50:], inner[:, :50], inner[:, -50:] = False, False, False, False
    assert np.all(support[inner] >= 2)
    truth = true_depth(views[0], SLANTED)
    assert np.max(np.abs(depth - truth)[inner] / truth[inner]) < 1e-3


def test_one_agreeing_view_is_not_enough(views):
    maps = [true_map(view) for view in views[:2]]
    depth, _ = agreed_depth(views[0], maps[0], views[1:2], maps[1:], Agreement(views=2))
    assert not depth.any()


def test_a_surface_facing_elsewhere_does_not_agree(views):
    maps = [true_map(view) for view in views]
    maps[0].normals[:] = np.array([0, NORMAL_SCALE, 0])
    depth, _ = agreed_depth(views[0], maps[0], views[1:], maps[1:], Agreement())
    assert not depth.any()


def test_cells_average_points_normals_and_colors(views):
    grid = CellGrid(0.05, np.zeros(3))
    for view in views[:2]:
        one = true_map(view)
        rgb = np.full((*one.depth.shape, 3), (10, 20, 30), np.uint8)
        grid.add(view, one.depth, one, rgb)
    cloud = grid.cloud(2)
    assert len(cloud.points) > 500
    assert np.max(np.abs(cloud.points @ SLANTED)) < 1e-3
    assert np.min(cloud.normals @ SLANTED) > 0.999
    assert np.all(cloud.colors == (10, 20, 30))


def test_neighbour_counts_find_the_stray():
    points = np.array([[0, 0, 0], [0.1, 0, 0], [0.2, 0.1, 0], [9, 9, 9]], np.float32)
    assert neighbour_counts(points, 0.2).tolist() == [3, 3, 3, 1]
