"""Tiled SIFT: positions, the cap, and agreement between tiled and whole pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from insaat_cli.engine.sfm.sift import SiftOptions, chosen, extract_features, root_sift


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width))
    layers = [cv2.GaussianBlur(noise, (0, 0), s) * s for s in (1.5, 3, 6, 12)]
    total = np.sum(layers, axis=0)
    return np.clip(128 + 50 * total / total.std(), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [2.0, 3.0, 4.0, 5.0, 8.0])
def test_first_pixel_has_its_centre_at_one_half(sigma: float) -> None:
    """Across the handover from tiles to the coarse picture, at a scale of 3.6 px."""
    y, x = np.mgrid[0:240, 0:240] + 0.5
    blob = 200 * np.exp(-((x - 80.3) ** 2 + (y - 120.6) ** 2) / (2 * sigma**2))
    found = extract_features((blob + 20).astype(np.uint8), SiftOptions())
    nearest = np.linalg.norm(found.keypoints[:, :2] - [80.3, 120.6], axis=1).min()
    assert nearest < 0.05 * sigma


def test_tiles_find_what_the_whole_picture_shows() -> None:
    picture = texture(500, 700)
    whole = extract_features(picture, SiftOptions(tile_side=5000, max_features=100_000))
    tiled = extract_features(picture, SiftOptions(tile_side=180, max_features=100_000))
    distance, _ = cKDTree(whole.keypoints[:, :2]).query(tiled.keypoints[:, :2])
    assert len(tiled) == pytest.approx(len(whole), rel=0.05)
    assert (distance < 0.1).mean() > 0.95


def test_coarse_features_are_among_them() -> None:
    scales = extract_features(texture(500, 700), SiftOptions()).keypoints[:, 2]
    assert (scales < 3).any()
    assert (scales > 8).any()


def test_cap_and_determinism() -> None:
    picture = texture(400, 400)
    options = SiftOptions(max_features=300, tile_side=150)
    first, second = extract_features(picture, options), extract_features(picture, options)
    assert len(first) == 300
    np.testing.assert_array_equal(first.keypoints, second.keypoints)
    np.testing.assert_array_equal(first.descriptors, second.descriptors)


def test_half_are_the_largest_and_half_the_strongest_of_the_others() -> None:
    generator = np.random.default_rng(3)
    x, y, scale, angle = generator.uniform(0, 100, (4, 200))
    rows = np.column_stack([x, y, scale, angle, 1 / scale]).astype(np.float32)  # small is strong
    kept = chosen(rows, 40)
    by_scale = np.argsort(scale)
    assert set(kept) == set(by_scale[:20]) | set(by_scale[-20:])
    assert (np.diff(rows[kept, 4]) <= 0).all()
    rows[:, 4] = scale  # the largest are the strongest: so many again
    assert set(chosen(rows, 40)) == set(by_scale[-40:])
    assert len(chosen(rows, 500)) == 200


def test_black_picture_has_none() -> None:
    found = extract_features(np.zeros((100, 120), np.uint8), SiftOptions())
    assert found.keypoints.shape == (0, 4)
    assert found.descriptors.shape == (0, 128)


def test_root_sift_has_unit_norm() -> None:
    raw = np.random.default_rng(0).uniform(0, 100, (5, 128)).astype(np.float32)
    norms = np.linalg.norm(root_sift(raw).astype(float), axis=1)
    np.testing.assert_allclose(norms, 512.0, rtol=0.01)
