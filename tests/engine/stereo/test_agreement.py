"""Only what several views measured alike is agreed on."""

from dataclasses import replace

import numpy as np
import pytest
from tests.engine.plane_scene import SLANTED, plane_scene, true_depth

from insaat_cli.engine.stereo.agreement import Agreement, agreed_depth
from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap


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


def test_masks_of_what_was_completed_and_of_sky_are_kept(tmp_path, views):
    one = true_map(views[0])
    one.save(tmp_path / "measured.npz")
    assert DepthMap.load(tmp_path / "measured.npz").completed is None
    completed, sky = one.depth > 3, one.depth > 4
    DepthMap(
        depth=one.depth,
        normals=one.normals,
        confidence=one.confidence,
        completed=completed,
        sky=sky,
    ).save(tmp_path / "both.npz")
    again = DepthMap.load(tmp_path / "both.npz")
    assert np.array_equal(again.completed, completed)
    assert np.array_equal(again.sky, sky)


def test_one_agreeing_view_is_enough_where_none_contradicts(views):
    maps = [true_map(view) for view in views[:3]]
    seen_by_one = np.s_[60:150, 80:200]
    maps[2].depth[:] = 0  # knows nothing
    rule = Agreement(views=2, uncontested_views=1)
    depth, _ = agreed_depth(views[0], maps[0], views[1:3], maps[1:], rule)
    assert np.mean(depth[seen_by_one] > 0) > 0.95
    maps[2].depth[:] = 9.0  # saw through it
    depth, _ = agreed_depth(views[0], maps[0], views[1:3], maps[1:], rule)
    assert np.mean(depth[seen_by_one] > 0) < 0.05


def test_one_photo_alone_must_agree_closely(views):
    maps = [true_map(view) for view in views[:3]]
    middle = np.s_[60:150, 80:200]
    rule = Agreement(views=2, uncontested_views=1, relative_depth=0.01)
    maps[1] = replace(maps[1], depth=maps[1].depth * np.float32(1.004))
    alone, _ = agreed_depth(views[0], maps[0], views[1:2], maps[1:2], rule)
    assert np.mean(alone[middle] > 0) < 0.05
    maps[2] = replace(maps[2], depth=maps[2].depth * np.float32(1.004))
    both, _ = agreed_depth(views[0], maps[0], views[1:3], maps[1:], rule)
    assert np.mean(both[middle] > 0) > 0.95, "two that agree less closely are enough"


def test_what_was_completed_contradicts_nothing_that_was_measured(views):
    maps = [true_map(view) for view in views[:3]]
    middle = np.s_[60:150, 80:200]
    everywhere = np.ones(maps[2].depth.shape, bool)
    maps[2] = replace(maps[2], depth=np.full_like(maps[2].depth, 9.0), completed=everywhere)
    rule = Agreement(views=2, uncontested_views=1)
    depth, _ = agreed_depth(views[0], maps[0], views[1:3], maps[1:], rule)
    assert np.mean(depth[middle] > 0) > 0.95
    own = replace(maps[0], completed=everywhere)
    depth, _ = agreed_depth(views[0], own, views[1:3], maps[1:], rule)
    assert np.mean(depth[middle] > 0) < 0.05, "but it contradicts what was completed elsewhere"
