"""Guided matching: what the geometry allows, what descriptors say, both ways."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray

from insaat_cli.engine.colmap.database import UNCALIBRATED, open_database
from insaat_cli.engine.sfm.feature_database import camera_of
from insaat_cli.engine.sfm.guided_matching import Features, guided_matches, match_again
from insaat_cli.engine.sfm.working_photos import WorkingPhoto

COUNT = 300
SIDEWAYS = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Of two photos side by side: the same row in both."""


def descriptors(count: int, seed: int) -> NDArray[np.uint8]:
    """Random descriptors [count, 128] of length 512."""
    values = np.random.default_rng(seed).gamma(1.0, size=(count, 128))
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(np.round(values / lengths * 512).clip(0, 255), np.uint8)


def two_photos() -> tuple[Features, Features, NDArray[np.int64]]:
    """Features of a scene moved by 40 pixels, those of the second in another order."""
    generator = np.random.default_rng(4)
    points = np.asarray(generator.uniform(0, 1000, (COUNT, 2)), np.float32)
    order = generator.permutation(COUNT)
    seen = descriptors(COUNT, 5)
    moved = points + np.float32([40, 0])
    first = Features(points=points, descriptors=seen)
    return first, Features(points=moved[order], descriptors=seen[order]), order


def test_all_that_lies_on_its_line_is_found() -> None:
    first, second, order = two_photos()

    matches = guided_matches(first, second, fundamental=SIDEWAYS)

    assert len(matches) == COUNT
    assert np.array_equal(order[matches[:, 1]], matches[:, 0])


def test_what_lies_off_its_line_is_not_matched() -> None:
    first, second, order = two_photos()
    second.points[order.argsort()[:50], 1] += 30

    matches = guided_matches(first, second, fundamental=SIDEWAYS)

    assert set(matches[:, 0]) == set(range(50, COUNT))


def test_a_twin_elsewhere_does_not_disturb_but_one_on_the_line_does() -> None:
    first, second, _ = two_photos()
    elsewhere = Features(
        points=np.vstack([second.points, second.points + np.float32([0, 400])]),
        descriptors=np.vstack([second.descriptors, second.descriptors]),
    )
    beside = Features(
        points=np.vstack([second.points, second.points + np.float32([100, 0])]),
        descriptors=np.vstack([second.descriptors, second.descriptors]),
    )

    found = guided_matches(first, elsewhere, fundamental=SIDEWAYS)

    assert len(found) > 0.9 * COUNT
    assert len(guided_matches(first, beside, fundamental=SIDEWAYS)) == 0


def test_a_homography_allows_only_the_place_that_it_says() -> None:
    first, second, order = two_photos()
    moves = np.array([[1.0, 0.0, 40.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    second.points[order.argsort()[:50], 0] += 30

    matches = guided_matches(first, second, homography=moves)

    assert set(matches[:, 0]) == set(range(50, COUNT))


def test_points_at_infinity_match_nothing() -> None:
    first, second, _ = two_photos()
    collapsing = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])

    assert len(guided_matches(first, second, homography=collapsing)) == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_verified_pairs_of_a_database_get_more_matches(tmp_path: Path, threads: int) -> None:
    first, second, order = two_photos()
    database = tmp_path / "database.db"
    photos = [first, second, first]
    write(database, photos)
    known = np.stack([order, np.arange(COUNT)], axis=1).astype(np.uint32)[:20]
    with open_database(database) as store:
        for i, j in pairwise(range(3)):
            matrix = SIDEWAYS if i == 0 else np.array([[0, 0, 1], [0, 0, 0], [-1.0, 0, 0]])
            store.write_geometry(i + 1, j + 1, UNCALIBRATED, known, matrix)

    match_again(database, [(0, 1), (1, 2), (0, 2)], threads=threads)

    with open_database(database) as store:
        assert store.inlier_counts() == {(1, 2): COUNT}
        wrong = store.two_view_geometry(2, 3)  # columns, where rows would be right
        assert wrong is not None and len(wrong.inliers) == 0
        assert store.two_view_geometry(1, 3) is None
    with pycolmap.Database.open(database) as read:
        assert len(read.read_two_view_geometry(1, 2).inlier_matches) == COUNT
        assert len(read.read_two_view_geometry(2, 3).inlier_matches) == 0


def test_a_pair_verified_by_chance_gets_none(tmp_path: Path) -> None:
    first, second, order = two_photos()
    known = np.stack([order, np.arange(COUNT)], axis=1).astype(np.uint32)[:16]
    left = {}
    for matches in (18, 60):
        database = tmp_path / f"{matches}.db"
        write(database, [first, second])
        with pycolmap.Database.open(database) as store:
            store.write_matches(1, 2, np.arange(2 * matches, dtype=np.uint32).reshape(-1, 2))
        with open_database(database) as store:
            store.write_geometry(1, 2, UNCALIBRATED, known, SIDEWAYS)
        match_again(database, [(0, 1)], threads=1)
        with open_database(database) as store:
            left[matches] = store.inlier_counts()
    assert left == {18: {(1, 2): COUNT}, 60: {}}


def write(database: Path, photos: list[Features]) -> None:
    """Cameras, images and features, as the stage before leaves them."""
    with open_database(database) as store:
        for number, features in enumerate(photos, start=1):
            photo = WorkingPhoto(
                name=f"{number}.jpg",
                source=f"{number}.jpg",
                width=1000,
                height=1000,
                focal_px=None,
                camera=number - 1,
            )
            store.write_camera(camera_of(photo), focal_is_known=False)
            store.write_image(number, photo.name, number)
            store.write_features(number, features.points, features.descriptors)
