"""Choice of pairs: neighbours by order, place and look; cost linear in the photos."""

from __future__ import annotations

import numpy as np

from insaat_cli.engine.sfm.pair_selection import (
    all_pairs,
    pairs_by_appearance,
    pairs_by_order,
    pairs_by_place,
    score_pair,
    select_pairs,
    train_vocabulary,
    vlad,
)


def descriptors(seed: int, count: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 120, (count, 128)).astype(np.uint8)


def test_order_follows_the_permutation() -> None:
    assert pairs_by_order([2, 0, 1], 1) == {(0, 2), (0, 1)}


def test_place_joins_neighbours_on_the_ground() -> None:
    gps = [(60.0, 10.0, 0.0), (60.0, 10.001, 0.0), None, (60.0, 10.1, 0.0), (60.0, 10.101, 0.0)]
    assert pairs_by_place(gps, 1) == {(0, 1), (3, 4)}


def test_look_joins_photos_with_the_same_features() -> None:
    first, second = descriptors(1), descriptors(2)
    sets = [first, second, first[50:], second[50:]]
    words = train_vocabulary(np.concatenate(sets), 8, seed=1)
    vectors = np.stack([vlad(d, words) for d in sets])
    assert pairs_by_appearance(vectors, 1) == {(0, 2), (1, 3)}


def test_score_counts_shared_features() -> None:
    first = descriptors(1)
    shared = np.concatenate([first[:80], descriptors(9, 120)])
    assert 75 <= score_pair(first, shared) <= 90
    assert score_pair(first, descriptors(3)) < 10
    assert score_pair(first, first[:1]) == 0


def test_pairs_grow_linearly() -> None:
    generator = np.random.default_rng(0)
    chosen = {}
    for count in (30, 120):
        scores = {
            (i, j): int(generator.integers(0, 50))
            for i in range(count)
            for j in range(i + 1, count)
        }
        pairs = select_pairs(scores, count, always=4, at_most=10, min_score=6)
        assert all(sum(photo in pair for pair in pairs) >= 4 for photo in range(count))
        chosen[count] = len(pairs)
        assert len(pairs) <= 10 * count
    assert chosen[120] < 5 * chosen[30]


def test_strangers_are_matched_only_as_often_as_needed() -> None:
    scores = dict.fromkeys(all_pairs(20), 0)
    pairs = select_pairs(scores, 20, always=2, at_most=10, min_score=6)
    assert len(pairs) <= 40
