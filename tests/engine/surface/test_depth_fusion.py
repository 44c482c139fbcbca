"""Grid cells hold weighted means."""

from dataclasses import replace

import numpy as np
import pytest
from tests.engine.plane_scene import SLANTED, plane_scene, true_depth

from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap
from insaat_cli.engine.surface.depth_fusion import CellGrid, neighbour_counts


@pytest.fixture(scope="module")
def views():
    return plane_scene(SLANTED)[0].views


def true_map(view):
    depth = true_depth(view, SLANTED).astype(np.float32)
    normals = np.empty((*depth.shape, 3), np.int8)
    normals[:] = np.rint(view.R @ SLANTED * NORMAL_SCALE)
    return DepthMap(depth=depth, normals=normals, confidence=np.full(depth.shape, 255, np.uint8))


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
    assert neighbour_counts(points, points, 0.2).tolist() == [3, 3, 3, 1]
    away = np.float32([[0.1, 0.1, 0], [5, 5, 5]])
    assert neighbour_counts(away, points, 0.2).tolist() == [3, 0]
    assert neighbour_counts(away, points[:0], 0.2).tolist() == [0, 0]


def test_a_cell_was_completed_where_most_of_its_weight_was(views):
    grid = CellGrid(0.05, np.zeros(3))
    for view, sure in ((views[0], 255), (views[1], 50)):
        one = true_map(view)
        one.confidence[:] = sure
        # What the sure view measured, the other completed, and the other way round.
        across = _places(view)[..., 0] < 0
        completed = across if sure == 255 else ~across
        half = replace(one, completed=completed)
        grid.add(view, one.depth, half, np.zeros((*one.depth.shape, 3), np.uint8))
    cloud = grid.cloud(2)
    apart = np.abs(cloud.points[:, 0]) > 0.1
    assert 0.2 < cloud.completed.mean() < 0.8
    both = apart & (np.linalg.norm(cloud.points, axis=1) < 0.5)
    assert np.mean(cloud.completed[both] == (cloud.points[both, 0] < 0)) > 0.95


def _places(view):
    """(H, W, 3) where the pixels of a view see the plane."""
    depth = true_depth(view, SLANTED)
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(view.K).T
    return (rays * depth[..., None] - view.t) @ view.R


@pytest.mark.parametrize(("levels", "kept"), [(0, False), (2, True)])
def test_a_surface_too_far_for_the_grid_is_kept_in_wider_cells(views, levels, kept):
    """Cells a third of a pixel wide hold one observation each, or none."""
    one = true_map(views[0])
    pixel = float(np.median(one.depth)) / views[0].K[0, 0]
    grid = CellGrid(pixel / 3, np.zeros(3))
    grid.add(views[0], one.depth, one, np.zeros((*one.depth.shape, 3), np.uint8))
    cloud = grid.cloud(2, 6, levels)
    assert (len(cloud.points) > 5000) == kept
    if kept:
        assert np.max(np.abs(cloud.points @ SLANTED)) < 1e-2


def test_wider_cells_add_nothing_beside_finer_points(views):
    one = true_map(views[0])
    pixel = float(np.median(one.depth)) / views[0].K[0, 0]
    rgb = np.zeros((*one.depth.shape, 3), np.uint8)
    grid = CellGrid(2 * pixel, np.zeros(3))
    for _ in range(2):
        grid.add(views[0], one.depth, one, rgb)
    fine = grid.cloud(2, 6, 0)
    behind = replace(one, depth=one.depth * np.float32(1 + 3 * pixel))  # noise: one view alone
    grid.add(views[0], behind.depth[:2], replace(behind, depth=behind.depth[:2]), rgb)
    assert len(grid.cloud(2, 6, 2).points) < 1.02 * len(fine.points)
