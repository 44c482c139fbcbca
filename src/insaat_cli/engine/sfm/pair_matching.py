"""Match chosen pairs of photos in a COLMAP database and verify them by two-view geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap.database import open_database
from insaat_cli.engine.sfm import pair_selection as choose
from insaat_cli.engine.sfm.feature_database import Progress, read_largest
from insaat_cli.engine.sfm.look_alikes import LookAlikes, refuse_look_alikes
from insaat_cli.engine.sfm.mapping_backend import SEED, MappingBackend
from insaat_cli.engine.sfm.pair_selection import Pair
from insaat_cli.engine.sfm.working_photos import WorkingPhoto

WORDS = 32
WORD_SAMPLE = 20_000
SCORED_FEATURES = 400
"""Largest features of each photo that a pair is scored by: 0.9 ms a pair, a 70th of matching it."""
CHOOSING_SHARE = 0.1
"""Share of the work that choosing pairs takes, for the progress."""
GUIDED_PAIRS_AT_ONCE = 48
"""Pairs matched a second time between two words on the progress."""
GUIDED_SHARE = 0.5
"""Share of the work that the second time takes, for the progress."""


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """How many partners each photo gets."""

    neighbours: int = 10
    """Partners at most by a photo's own choice, if they look alike at all."""
    sure_neighbours: int = 4
    """Partners that a photo gets whether or not they look alike."""
    min_score: int = 6
    exhaustive_max: int = choose.EXHAUSTIVE_MAX


def choose_pairs(
    database: Path, photos: Sequence[WorkingPhoto], options: PairOptions, progress: Progress
) -> list[Pair]:
    """Positions (from 0) of the pairs to match; at most `neighbours` times as many as photos."""
    count = len(photos)
    with open_database(database) as store:
        largest = [read_largest(store, index + 1, SCORED_FEATURES) for index in range(count)]
    if count <= options.exhaustive_max:
        candidates = choose.all_pairs(count)
    else:
        candidates = sorted(_candidates(photos, largest))
    scores = {}
    for done, (i, j) in enumerate(candidates):
        scores[i, j] = choose.score_pair(largest[i], largest[j])
        progress((done + 1) / len(candidates))
    return choose.select_pairs(
        scores,
        count,
        always=options.sure_neighbours,
        at_most=options.neighbours,
        min_score=options.min_score,
    )


def pairs_of(database: Path, some: Sequence[int], count: int, most: int) -> list[Pair]:
    """Pairs of each of the photos `some` (positions from 0, of `count`) with the `most` others
    that look most alike, whether or not they were matched before."""
    with open_database(database) as store:
        largest = [read_largest(store, index + 1, SCORED_FEATURES) for index in range(count)]
    pairs: set[Pair] = set()
    for photo in some:
        scores = {k: choose.score_pair(largest[photo], largest[k]) for k in range(count)}
        del scores[photo]
        for other in sorted(scores, key=lambda k: (-scores[k], k))[:most]:
            pairs.add((min(photo, other), max(photo, other)))
    return sorted(pairs)


def _candidates(
    photos: Sequence[WorkingPhoto], largest: Sequence[npt.NDArray[np.uint8]]
) -> set[Pair]:
    limits = choose.CandidateOptions()
    order = sorted(range(len(photos)), key=lambda i: (photos[i].time or "", i))
    generator = np.random.default_rng(SEED)
    sample = np.concatenate(largest)
    rows = generator.choice(len(sample), min(WORD_SAMPLE, len(sample)), replace=False)
    words = choose.train_vocabulary(sample[np.sort(rows)], WORDS, seed=SEED)
    vectors = np.stack([choose.vlad(descriptors, words) for descriptors in largest])
    return (
        choose.pairs_by_order(order, limits.by_order)
        | choose.pairs_by_place([photo.gps for photo in photos], limits.by_place)
        | choose.pairs_by_appearance(vectors, limits.by_look)
    )


def match_pairs(
    database: Path,
    photos: Sequence[WorkingPhoto],
    pairs: Sequence[Pair],
    backend: MappingBackend,
    *,
    guided: bool,
    threads: int,
    progress: Progress,
) -> LookAlikes:
    """Match and verify `pairs` (positions from 0) in `database`; `guided` once more along the
    epipolar lines that were found. Pairs that only look alike are refused, and returned."""
    first_share = 1 - GUIDED_SHARE if guided else 1.0
    backend.match(
        database,
        [(photos[i].name, photos[j].name) for i, j in pairs],
        threads=threads,
        progress=lambda share: progress(first_share * share),
    )
    if guided:
        # Its compiler takes 60 MB, and most runs never come here.
        from insaat_cli.engine.sfm.guided_matching import match_again

        for start in range(0, len(pairs), GUIDED_PAIRS_AT_ONCE):
            part = pairs[start : start + GUIDED_PAIRS_AT_ONCE]
            match_again(database, part, threads=threads)
            progress(first_share + GUIDED_SHARE * (start + len(part)) / len(pairs))
    return refuse_look_alikes(database)


def inliers_of_pairs(database: Path) -> dict[Pair, int]:
    """Verified matches of every verified pair (positions from 0, smaller first)."""
    with open_database(database) as store:
        counts = store.inlier_counts()
    return {(first - 1, second - 1): count for (first, second), count in counts.items()}
