"""Features that stay in place are told from those of a subject that turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insaat_cli.engine.colmap.database import open_database
from insaat_cli.engine.sfm.still_features import drop_still_features, seen_in_place

STILL, MOVING = 60, 80


def looks(count: int, seed: int) -> np.ndarray:
    values = np.abs(np.random.default_rng(seed).normal(size=(count, 128)))
    values *= 512.0 / np.linalg.norm(values, axis=1, keepdims=True)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def photo(step: int, hidden: slice) -> tuple[np.ndarray, np.ndarray]:
    """Still features but for the hidden ones, then those of a turning subject."""
    generator = np.random.default_rng(3)
    still = generator.uniform([0, 0, 2, -3], [800, 600, 4, 3], (STILL, 4))
    subject = generator.uniform([300, 200, 2, -3], [500, 400, 4, 3], (MOVING, 4))
    subject[:, 0] += 15.0 * step
    axis = generator.uniform([399, 299, 2, -3], [401, 301, 4, 3], (10, 4))
    axis[:, 3] += 0.4 * step
    shown = np.ones(STILL, bool)
    shown[hidden] = False
    keypoints = np.concatenate([still[shown], subject, axis])
    keypoints[:, :2] += np.random.default_rng(step).normal(0, 0.2, (len(keypoints), 2))
    descriptors = np.concatenate([looks(STILL, 7)[shown], looks(MOVING, 8), looks(10, 9)])
    return keypoints.astype(np.float32), descriptors


def test_what_stays_is_found_though_it_is_hidden_at_times() -> None:
    photos = [photo(step, slice(5 * step, 5 * step + 10)) for step in range(6)]
    keypoints, descriptors = photos[0]
    still = seen_in_place(keypoints, descriptors, photos[1:])
    assert still[: STILL - 10].all()
    assert not still[STILL - 10 :].any(), "what moves, and what turns on the axis"


def test_another_feature_in_the_same_place_is_no_witness() -> None:
    keypoints, descriptors = photo(0, slice(0, 0))
    other = (keypoints, looks(len(descriptors), 99))
    assert not seen_in_place(keypoints, descriptors, [other] * 5).any()


def test_they_leave_the_database(tmp_path: Path) -> None:
    with open_database(tmp_path / "database.db") as store:
        for step in range(5):
            store.write_features(step + 1, *photo(step, slice(0, 0)))
        assert drop_still_features(store, [1, 2, 3, 4, 5]) == 5 * STILL
        assert [len(store.keypoints(key)) for key in range(1, 6)] == [MOVING + 10] * 5
        assert [len(store.descriptors(key)) for key in range(1, 6)] == [MOVING + 10] * 5
