"""Which pairs of photos are worth matching.

Up to `EXHAUSTIVE_MAX` photos every pair is scored by its largest features alone (preemptive
matching, Wu 2013); beyond, candidates come from the order of the photos, GPS, and VLAD
descriptors (Jégou et al. 2010) of the set itself, so that cost grows linearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Descriptors = npt.NDArray[np.uint8]
Pair = tuple[int, int]
"""Positions of two photos, the smaller first."""

EXHAUSTIVE_MAX = 120
EARTH_RADIUS_M = 6_371_000.0


@dataclass(frozen=True, kw_only=True)
class CandidateOptions:
    """Neighbours of each photo by every criterion, for sets too large for all pairs."""

    by_order: int = 6
    by_place: int = 10
    by_look: int = 24


def all_pairs(count: int) -> list[Pair]:
    """Every pair of `count` photos."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def pairs_by_order(order: Sequence[int], reach: int) -> set[Pair]:
    """Pairs at most `reach` apart in `order`, a permutation of the photos (by capture time)."""
    return {
        _pair(order[i], order[j])
        for i in range(len(order))
        for j in range(i + 1, min(i + 1 + reach, len(order)))
    }


def pairs_by_place(gps: Sequence[Sequence[float] | None], neighbours: int) -> set[Pair]:
    """Each photo with its nearest by GPS ([lat, lon, …] in degrees, None where unknown)."""
    known = [index for index, place in enumerate(gps) if place is not None]
    if len(known) < 2:
        return set()
    degrees = np.array([place[:2] for place in gps if place is not None], float)
    angles = np.radians(degrees)
    east = angles[:, 1] * np.cos(angles[:, 0].mean())
    plane = EARTH_RADIUS_M * np.stack([east, angles[:, 0]], axis=1)
    return _nearest(plane, known, neighbours)


def pairs_by_appearance(vectors: npt.NDArray[np.float32], neighbours: int) -> set[Pair]:
    """Each photo with its nearest by global descriptor [n, d]."""
    return _nearest(vectors, range(len(vectors)), neighbours)


def train_vocabulary(sample: Descriptors, count: int, *, seed: int) -> npt.NDArray[np.float32]:
    """`count` centroids [count, 128] of a sample of descriptors, by Lloyd's k-means."""
    generator = np.random.default_rng(seed)
    data = sample.astype(np.float32)
    words = data[generator.choice(len(data), min(count, len(data)), replace=False)]
    for _ in range(8):
        nearest = assign_words(data, words)
        for word in range(len(words)):
            members = data[nearest == word]
            if len(members):
                words[word] = members.mean(axis=0)
    return words


def assign_words(
    descriptors: npt.NDArray[np.float32], words: npt.NDArray[np.float32]
) -> npt.NDArray[np.intp]:
    """Index of the nearest centroid of each descriptor."""
    closeness = descriptors @ words.T - 0.5 * (words * words).sum(axis=1)
    return np.asarray(closeness.argmax(axis=1))


def vlad(descriptors: Descriptors, words: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Global descriptor [words * 128] of one photo: residuals summed a word, each normalised."""
    data = descriptors.astype(np.float32)
    nearest = assign_words(data, words)
    sums = np.zeros_like(words)
    np.add.at(sums, nearest, data - words[nearest])
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    flat = sums.ravel()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6))


def score_pair(first: Descriptors, second: Descriptors, *, max_ratio: float = 0.8) -> int:
    """Mutual nearest neighbours that pass Lowe's ratio test; a few hundred descriptors each."""
    if len(first) < 2 or len(second) < 2:
        return 0
    products = _unit(first) @ _unit(second).T
    forward = _passing(products, max_ratio)
    backward = _passing(products.T, max_ratio)
    rows = np.flatnonzero(forward >= 0)
    return int((backward[forward[rows]] == rows).sum())


def select_pairs(
    scores: dict[Pair, int], count: int, *, always: int, at_most: int, min_score: int
) -> list[Pair]:
    """The best `always` pairs of each photo, and up to `at_most` that score `min_score` or more."""
    ranked: list[list[tuple[int, Pair]]] = [[] for _ in range(count)]
    for pair, score in scores.items():
        for photo in pair:
            ranked[photo].append((-score, pair))
    chosen: set[Pair] = set()
    for entries in ranked:
        entries.sort()
        chosen.update(pair for _, pair in entries[:always])
        chosen.update(pair for score, pair in entries[always:at_most] if -score >= min_score)
    return sorted(chosen)


def _unit(descriptors: Descriptors) -> npt.NDArray[np.float32]:
    data = descriptors.astype(np.float32)
    return np.asarray(data / np.maximum(np.linalg.norm(data, axis=1, keepdims=True), 1e-6))


def _passing(products: npt.NDArray[np.float32], max_ratio: float) -> npt.NDArray[np.intp]:
    """Best column of each row where the second best is clearly farther, else -1."""
    rows = np.arange(len(products))
    best = products.argmax(axis=1)
    others = products.copy()
    others[rows, best] = -1.0
    nearest, second = (
        np.arccos(np.clip(top, -1.0, 1.0)) for top in (products[rows, best], others.max(axis=1))
    )
    return np.where(nearest < max_ratio * second, best, -1)


def _nearest(
    vectors: npt.NDArray[np.floating], photos: Sequence[int], neighbours: int
) -> set[Pair]:
    """Each of `photos` with its nearest others; one row of distances at a time."""
    squares = (vectors * vectors).sum(axis=1)
    pairs: set[Pair] = set()
    for row, photo in enumerate(photos):
        distance = squares - 2.0 * (vectors @ vectors[row])
        distance[row] = np.inf
        for other in np.argsort(distance, kind="stable")[: min(neighbours, len(photos) - 1)]:
            pairs.add(_pair(photo, photos[int(other)]))
    return pairs


def _pair(i: int, j: int) -> Pair:
    return (i, j) if i < j else (j, i)
