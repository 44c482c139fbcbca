"""Slanted planes are recovered from a poor start."""

import numpy as np
import pytest
from tests.engine.plane_scene import FOCAL, SLANTED, plane_scene, true_depth

from insaat_cli.engine.stereo.depth_map import Effort, filled, measure_depth, oversampled
from insaat_cli.engine.stereo.neighbours import depth_range
from insaat_cli.engine.stereo.patchmatch import (
    Search,
    enlarge,
    normals_of,
    refine,
    relate,
    start_planes,
)


@pytest.fixture(scope="module")
def scene():
    return plane_scene(SLANTED)


def test_a_fronto_parallel_start_becomes_the_slanted_plane(scene):
    views, photos = scene[0].views, scene[1]
    truth = true_depth(views[0], SLANTED)
    start = start_planes(np.full(truth.shape, 1 / np.median(truth), np.float32))
    neighbours = relate(views[0], views[1:], [oversampled(p) for p in photos[1:]])
    planes = refine(
        start, photos[0], FOCAL, neighbours, (0.1, 1.0), Search(sweeps=8, depth_step=0.1)
    )
    inner = (slice(15, -15), slice(15, -15))
    error = np.abs(1 / planes.w - truth)[inner] / truth[inner]
    assert np.median(error) < 1e-3
    cosine = normals_of(planes, views[0].K)[inner] @ (views[0].R @ SLANTED)
    assert np.degrees(np.arccos(np.median(cosine))) < 5
    assert np.all(start.cost == start.cost[0, 0]), "the input must stay as it was"


def test_the_same_seed_gives_the_same_planes(scene):
    views, photos = scene[0].views, scene[1]
    start = start_planes(np.full(photos[0].shape, 0.33, np.float32))
    neighbours = relate(views[0], views[1:], [oversampled(p) for p in photos[1:]])
    one, two = (refine(start, photos[0], FOCAL, neighbours, (0.1, 1.0), Search()) for _ in range(2))
    assert np.array_equal(one.w, two.w)


def test_enlarged_planes_keep_depth_and_slope():
    v, u = np.mgrid[:20, :30].astype(np.float32)
    planes = enlarge(start_planes(0.5 + 0.01 * u - 0.004 * v), 60, 40)
    v2, u2 = np.mgrid[:40, :60]
    wanted = 0.5 + 0.01 * ((u2 + 0.5) / 2 - 0.5) - 0.004 * ((v2 + 0.5) / 2 - 0.5)
    assert np.allclose(planes.w, wanted, atol=1e-5)
    assert np.allclose(planes.wx, 0.005, atol=1e-6)


def test_a_depth_map_from_photos_alone(scene):
    views, photos = scene[0].views, scene[1]
    effort = Effort(coarse_sweeps=3, fine_sweeps=2, best_views=2, max_cost=0.5)
    result = measure_depth(
        views[0], photos[0], views[1:], photos[1:], depth_range(scene[0], 0), effort
    )
    truth = true_depth(views[0], SLANTED)
    known = result.depth > 0
    assert known.mean() > 0.7
    error = np.abs(result.depth - truth)[known] / truth[known]
    assert np.median(error) < 1e-3
    assert np.mean(error < 0.01) > 0.96


def test_a_blank_photo_has_no_depth(scene):
    views = scene[0].views
    blank = [np.full((view.height, view.width), 200, np.uint8) for view in views]
    effort = Effort(coarse_sweeps=2, fine_sweeps=1, best_views=2, max_cost=0.65)
    result = measure_depth(views[0], blank[0], views[1:], blank[1:], (2.0, 4.0), effort)
    assert not result.depth.any()
    assert not result.confidence.any()


def test_unknown_pixels_take_the_nearest_known_value():
    values = np.zeros((5, 9), np.float32)
    values[2, 1], values[2, 7] = 3, 5
    result = filled(values, values > 0)
    assert np.all(result[:, :3] == 3)
    assert np.all(result[:, 6:] == 5)
