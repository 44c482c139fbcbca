"""Which photos see the same things, judged from few features at a small size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.inspection.photo_quality import Look

NEIGHBOURS = 4
"""In order: each photo is compared with so many that follow it."""
BEST_BY_SAMPLE = 8
"""And with so many that a small sample of features finds most alike."""
SAMPLE = 200
SAMPLED_PAIRS_PER_PHOTO = 60
"""In large sets the sample is compared only with photos whose mean descriptors are near."""
RATIO = 0.85
"""Lowe's test: the best match against the second best."""
EPIPOLAR_SHARE = 0.004
"""How far a match may lie from its epipolar line, of the longest side."""
MIN_MATCHES = 16
MIN_AGREEING = 0.3
"""Share of the matches: eight of any agree by construction, and some more by chance."""
CONFIDENCE = 0.999
MAX_TRIALS = 500


@dataclass(frozen=True, kw_only=True)
class Link:
    """What two photos have in common."""

    first: int
    second: int
    matches: int
    """That agree with one epipolar geometry."""
    shift: float
    """Median distance that they move between the two, of the longest side."""
    overlap: float
    """Share of the first photo's area that their hull covers."""


def find_links(looks: Sequence[Look], threads: int) -> list[Link]:
    """The links that can be seen between photos that follow each other or look alike."""
    with ThreadPoolExecutor(threads) as workers:
        alike = list(_mean_neighbours(looks))
        scores = list(workers.map(lambda pair: _sample_score(looks, *pair), alike))
        pairs = sorted(set(_in_order(len(looks))) | set(_best(alike, scores, len(looks))))
        found = workers.map(lambda pair: link(looks, *pair), pairs)
        return [one for one in found if one is not None]


def _in_order(count: int) -> Iterator[tuple[int, int]]:
    for first in range(count):
        for second in range(first + 1, min(first + NEIGHBOURS + 1, count)):
            yield first, second
    yield 0, count - 1


def _mean_neighbours(looks: Sequence[Look]) -> Iterable[tuple[int, int]]:
    """All pairs of a small set; of a large one, those whose mean descriptors are nearest."""
    count = len(looks)
    if count <= SAMPLED_PAIRS_PER_PHOTO:
        return combinations(range(count), 2)
    means = np.stack(
        [
            look.descriptors.mean(axis=0) if len(look.descriptors) else np.zeros(128)
            for look in looks
        ]
    )
    means -= means.mean(axis=0)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    likeness = means @ means.T
    np.fill_diagonal(likeness, -np.inf)
    nearest = np.argpartition(-likeness, SAMPLED_PAIRS_PER_PHOTO - 1, axis=1)
    chosen = nearest[:, :SAMPLED_PAIRS_PER_PHOTO]
    return sorted({(min(i, int(j)), max(i, int(j))) for i in range(count) for j in chosen[i]})


def _sample_score(looks: Sequence[Look], first: int, second: int) -> int:
    a, b = looks[first].descriptors[:SAMPLE], looks[second].descriptors[:SAMPLE]
    return len(_mutual_matches(a, b)[0])


def _best(
    pairs: Sequence[tuple[int, int]], scores: Sequence[int], count: int
) -> Iterator[tuple[int, int]]:
    """The pairs that are among the best of either photo."""
    of_photo: list[list[tuple[int, tuple[int, int]]]] = [[] for _ in range(count)]
    for pair, score in zip(pairs, scores, strict=True):
        for end in pair:
            of_photo[end].append((score, pair))
    for found in of_photo:
        for score, pair in sorted(found, reverse=True)[:BEST_BY_SAMPLE]:
            if score:
                yield pair


def link(looks: Sequence[Look], first: int, second: int) -> Link | None:
    """What two photos have in common, or None."""
    a, b = looks[first], looks[second]
    rows, columns = _mutual_matches(a.descriptors, b.descriptors)
    if len(rows) < MIN_MATCHES:
        return None
    here, there = a.places[rows], b.places[columns]
    inside = _agreeing(here, there)
    if inside.sum() < max(MIN_MATCHES, MIN_AGREEING * len(rows)):
        return None
    here, there = here[inside], there[inside]
    area = min(1.0, a.aspect) / max(1.0, a.aspect)
    return Link(
        first=first,
        second=second,
        matches=int(inside.sum()),
        shift=float(np.median(np.linalg.norm(here - there, axis=1))),
        overlap=min(1.0, float(cv2.contourArea(cv2.convexHull(here))) / area),
    )


def _mutual_matches(
    a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    none = np.empty(0, np.int64)
    if len(a) < MIN_MATCHES or len(b) < MIN_MATCHES:
        return none, none
    likeness = a @ b.T
    best = likeness.argmax(axis=1)
    rows = np.arange(len(a))
    top = likeness[rows, best]
    mutual = likeness.argmax(axis=0)[best] == rows
    likeness[rows, best] = -1
    distance = np.sqrt(np.maximum(2 - 2 * top, 0))
    next_best = np.sqrt(np.maximum(2 - 2 * likeness.max(axis=1), 0))
    good = mutual & (distance < RATIO * next_best)
    return rows[good], best[good]


def _agreeing(
    here: npt.NDArray[np.float32], there: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]:
    """Matches that one fundamental matrix explains (MAGSAC++, Barath et al. 2020)."""
    cv2.setRNGSeed(0)
    scale = 1000.0  # OpenCV's thresholds are meant for pixels
    _, mask = cv2.findFundamentalMat(
        here * scale, there * scale, cv2.USAC_MAGSAC, EPIPOLAR_SHARE * scale, CONFIDENCE, MAX_TRIALS
    )
    return np.zeros(len(here), bool) if mask is None else mask.ravel() > 0
