"""Rectified matching works for any direction of the baseline."""

import numpy as np
import pytest
from tests.engine.plane_scene import SLANTED, camera, plane_scene, true_depth

from insaat_cli.engine.stereo.sgm import merge_depths, pair_depth, rectify


@pytest.mark.parametrize("other", [1, 2, 3], ids=["beside", "above", "below"])
def test_depth_of_a_plane_from_one_pair(other):
    scene, photos = plane_scene(SLANTED)
    depth = pair_depth(scene.views[0], scene.views[other], photos[0], photos[other], 2.0, 4.5)
    assert depth is not None
    known = depth > 0
    assert known.mean() > 0.5
    truth = true_depth(scene.views[0], SLANTED)
    error = np.abs(depth - truth)[known] / truth[known]
    assert np.median(error) < 0.01


def test_a_camera_in_front_cannot_be_rectified():
    back, front = camera((0, 0, -3), (0, 0, 0)), camera((0.05, 0, -2), (0, 0, 0))
    assert rectify(back, front, 1.0, 4.0) is None
    assert rectify(back, back, 1.0, 4.0) is None


def test_a_lone_wrong_depth_is_outvoted():
    shape = (4, 4)
    pairs = [np.full(shape, value, np.float32) for value in (2.0, 2.01, 5.0)]
    depth, votes = merge_depths(pairs)
    assert np.allclose(depth, 2.005)
    assert np.all(votes == 2)
