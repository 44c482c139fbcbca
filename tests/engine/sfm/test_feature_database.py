"""Features of whole files: a photo that shows little gives its faint ones, too."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from insaat_cli.engine.sfm.feature_database import features_of_file
from insaat_cli.engine.sfm.sift import SiftOptions, extract_features


def picture(contrast: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(360, 480))
    layers = [cv2.GaussianBlur(noise, (0, 0), s) * s for s in (1.5, 3, 6, 12)]
    total = np.sum(layers, axis=0)
    return np.clip(128 + contrast * total / total.std(), 0, 255).astype(np.uint8)


def test_a_photo_of_plaster_gives_faint_features(tmp_path: Path) -> None:
    path, options = tmp_path / "images" / "a.png", SiftOptions()
    path.parent.mkdir()
    cv2.imwrite(str(path), picture(4.0))
    usual = extract_features(picture(4.0), options)
    assert len(usual) < 150
    assert len(features_of_file(path, options, max_side=2000)) > 4 * len(usual)


def test_a_photo_with_texture_gives_no_faint_ones(tmp_path: Path) -> None:
    path, options = tmp_path / "images" / "a.png", SiftOptions(max_features=500)
    path.parent.mkdir()
    cv2.imwrite(str(path), picture(50.0))
    usual = extract_features(picture(50.0), options)
    found = features_of_file(path, options, max_side=2000)
    np.testing.assert_array_equal(found.keypoints, usual.keypoints)
