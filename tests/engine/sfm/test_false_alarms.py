"""What random points do by chance is a false alarm, what they do not is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from insaat_cli.engine.sfm.false_alarms import chance_on_line, is_false_alarm, log10_false_alarms

WIDTH, HEIGHT, ERROR_PX = 640, 480, 4.0


def max_inliers(points: np.ndarray, moved: np.ndarray) -> int:
    """Largest number of matches that a fundamental matrix sought at random is obeyed by."""
    cv2.setRNGSeed(1)
    _, mask = cv2.findFundamentalMat(
        points, moved, cv2.FM_RANSAC, ERROR_PX, confidence=0.999999, maxIters=20_000
    )
    return 0 if mask is None else int(mask.sum())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [30, 45, 60, 120])
def test_random_matches_are_false_alarms(count: int, seed: int) -> None:
    size = np.array([WIDTH, HEIGHT])
    points, moved = np.random.default_rng(seed).uniform(0, 1, (2, count, 2)) * size
    inliers = max_inliers(points, moved)
    assert inliers > 7
    assert is_false_alarm(count, inliers, longest_side=WIDTH, error_px=ERROR_PX)


@pytest.mark.parametrize(("true", "random"), [(18, 12), (30, 40), (60, 200)])
def test_as_many_on_common_lines_are_none(true: int, random: int) -> None:
    size = np.array([WIDTH, HEIGHT])
    points, moved = np.random.default_rng(0).uniform(0, 1, (2, true + random, 2)) * size
    moved[:true, 1] = points[:true, 1]  # side by side: the same row
    assert not is_false_alarm(true + random, true, longest_side=WIDTH, error_px=ERROR_PX)


def test_fewer_than_determine_the_matrix_say_nothing() -> None:
    assert log10_false_alarms(7, 7, chance=0.01) == float("inf")


def test_a_larger_picture_makes_the_same_matches_less_likely() -> None:
    small, large = (
        log10_false_alarms(40, 16, chance=chance_on_line(side, ERROR_PX)) for side in (640, 2400)
    )
    assert large < -2 < small
