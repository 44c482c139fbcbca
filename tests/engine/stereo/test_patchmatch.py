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
from insaat_cli.engine.stereo.plane_sweep import NOISE_VARIANCE, RADIUS, STEP


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


def cost_of(planes, gray, neighbours, x, y, color_sigma):
    """1 - NCC of one pixel, mean over all neighbours, without a thought of speed."""
    offsets = range(-RADIUS, RADIUS + 1, STEP)
    around = np.array([(i, j) for j in offsets for i in offsets if (i, j) != (0, 0)])
    here = np.array([gray[y + j, x + i] for i, j in around], float)
    weight = np.exp(-np.abs(here - gray[y, x]) / color_sigma)
    weight /= weight.sum()
    here -= weight @ here
    costs = []
    for photo, M, T in zip(neighbours.grays, neighbours.M, neighbours.T, strict=True):

        def seen(u, v, M=M, T=T):
            w = planes.w[y, x] + planes.wx[y, x] * (u - x) + planes.wy[y, x] * (v - y)
            place = M.astype(float) @ (u, v, 1) + T.astype(float) * w
            return place[:2] / place[2]

        middle = seen(x, y)
        along_x = (seen(x + 1e-3, y) - seen(x - 1e-3, y)) / 2e-3
        along_y = (seen(x, y + 1e-3) - seen(x, y - 1e-3)) / 2e-3
        places = (middle + i * along_x + j * along_y for i, j in around)
        there = np.array([photo[int(v), int(u)] for u, v in places], float)
        there -= weight @ there
        variances = [weight @ side**2 + NOISE_VARIANCE for side in (here, there)]
        costs.append(1 - (weight * here) @ there / np.sqrt(np.prod(variances)))
    return np.mean(costs)


def test_the_cost_kept_from_sweep_to_sweep_is_that_of_the_plane(scene):
    views, photos = scene[0].views, scene[1]
    search = Search(sweeps=3)
    start = start_planes(np.full(photos[0].shape, 0.33, np.float32))
    neighbours = relate(views[0], views[1:3], [oversampled(p) for p in photos[1:3]])
    planes = refine(start, photos[0], FOCAL, neighbours, (0.1, 1.0), search)
    rows, columns = photos[0].shape
    places = np.random.default_rng(1).integers(20, (columns - 20, rows - 20), (60, 2))
    found = [planes.cost[y, x] for x, y in places]
    true = [cost_of(planes, photos[0], neighbours, x, y, search.color_sigma) for x, y in places]
    # a sample beside the edge of a pixel may be the next one's in 32 bits
    assert np.median(np.abs(np.subtract(found, true))) < 1e-4
    assert np.max(np.abs(np.subtract(found, true))) < 0.05


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
