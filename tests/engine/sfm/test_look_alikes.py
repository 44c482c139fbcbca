"""Pairs that match by mistake are refused, whichever of three they are; true ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insaat_cli.engine.colmap.database import CALIBRATED, open_database
from insaat_cli.engine.sfm.look_alikes import look_alikes, refuse_look_alikes

DOOR = 40
"""Features of each of two doors that are alike: rows 0 to 39 of one, 40 to 79 of the other."""


def places(photos: int) -> dict[int, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        key: generator.uniform(0, 1000, (2 * DOOR, 2)).astype(np.float32)
        for key in range(1, photos + 1)
    }


def same(rows: range) -> np.ndarray:
    return np.column_stack([np.array(rows), np.array(rows)])


def hall() -> dict[tuple[int, int], np.ndarray]:
    """Photos 1 and 2 show the first door, 5 and 6 the other, 3 and 4 both; 2 and 5 are mistaken."""
    first, other, both = range(DOOR), range(DOOR, 2 * DOOR), range(2 * DOOR)
    mistaken = np.column_stack([np.array(first), np.array(other)])
    return {
        (1, 2): same(first), (1, 3): same(first), (1, 4): same(first), (2, 3): same(first),
        (2, 4): same(first), (3, 4): same(both), (3, 5): same(other), (4, 5): same(other),
        (3, 6): same(other), (4, 6): same(other), (5, 6): same(other), (2, 5): mistaken,
    }  # fmt: skip


def test_the_pair_of_two_doors_is_refused_and_no_other() -> None:
    found = look_alikes(hall(), places(6))
    assert found.refused == [(2, 5)]
    assert not found.doubtful


def test_true_pairs_stay() -> None:
    matches = hall()
    del matches[2, 5]
    assert look_alikes(matches, places(6)).refused == []


def test_where_all_pairs_are_partly_wrong_that_is_told() -> None:
    """A tenth of the matches of every pair confuse the doors: which are right is left open."""
    matches = hall()
    del matches[2, 5]
    where = places(6)
    for rows in matches.values():
        rows[:4, 1] = (rows[:4, 1] + DOOR) % (2 * DOOR)
    many = {
        (first + 10 * copy, second + 10 * copy): rows
        for copy in range(3)
        for (first, second), rows in matches.items()
    }
    spread = {key + 10 * copy: pixels for copy in range(3) for key, pixels in where.items()}
    found = look_alikes(many, spread)
    assert found.refused == []
    assert found.doubtful


def test_two_features_in_one_place_are_no_conflict() -> None:
    """SIFT gives a place that has two directions two features."""
    matches, where = hall(), places(6)
    for one in where.values():
        one[DOOR:] = one[:DOOR] + 0.5
    assert look_alikes(matches, where).refused == []


def test_what_no_third_photo_sees_stays() -> None:
    assert look_alikes({(1, 2): same(range(DOOR))}, places(2)).refused == []


def test_refused_pairs_leave_the_database(tmp_path: Path) -> None:
    with open_database(tmp_path / "database.db") as store:
        for key, pixels in places(6).items():
            keypoints = np.column_stack([pixels, np.ones((2 * DOOR, 2))]).astype(np.float32)
            store.write_features(key, keypoints, np.zeros((2 * DOOR, 128), np.uint8))
        for (first, second), rows in hall().items():
            store.write_geometry(first, second, CALIBRATED, rows, np.eye(3))
    assert refuse_look_alikes(tmp_path / "database.db").refused == [(2, 5)]
    with open_database(tmp_path / "database.db") as store:
        counts = store.inlier_counts()
    assert (2, 5) not in counts
    assert len(counts) == 11
