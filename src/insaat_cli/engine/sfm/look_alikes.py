"""Pairs of photos that match because two things look alike: doors, chairs, both ends of a hall.

Such a pair may have hundreds of matches that obey one geometry. A third photo gives it away: what
the pair takes for the same, the third photo shows in two places. So conflicts are counted over all
triangles of pairs; in true pairs they are rare (compare C. Zach et al., "What can missing
correspondences tell us about 3D structure and motion", CVPR 2008, and J. Heinly et al., "Correcting
for duplicate scene structure in sparse 3D reconstruction", ECCV 2014).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap.database import open_database

Pair = tuple[int, int]
Triangle = tuple[int, int, int]
Matches = npt.NDArray[np.int64]
"""[n, 2] rows of two photos' features, the one with the smaller id first."""
Places = npt.NDArray[np.float32]
"""[n, 2] pixels of a photo's features."""

SAME_PLACE_PX = 6.0
"""Features nearer than this show the same: one has two directions, or two scales."""
MIN_CONFLICTS = 20
MAX_AGREEMENT = 0.5
"""Share of what triangles say on a pair that is for it; of ten real sets it is 0.99 and more."""


MIN_VOTES = 500
DOUBTFUL_SHARE = 0.02
"""Share of all votes that are conflicts, beyond which what remains is in doubt: of ten sets it is
0.007 at most, of a room with two shelves and four pictures that are the same 0.05."""


@dataclass(frozen=True, kw_only=True)
class LookAlikes:
    """What look-alikes do to a set of photos."""

    refused: list[Pair]
    """Pairs (image ids) that others contradict."""
    doubtful: bool
    """Whether the others contradict each other, too: no telling which of them are right."""


@dataclass(kw_only=True)
class Verdict:
    """What triangles say on one pair."""

    agree: int = 0
    conflict: int = 0
    triangles: list[Triangle] = field(default_factory=list)

    @property
    def agreement(self) -> float:
        """Share of the evidence that is for the pair."""
        return self.agree / max(self.agree + self.conflict, 1)


def refuse_look_alikes(database: Path) -> LookAlikes:
    """Empty the pairs of `database` that match by mistake."""
    with open_database(database) as store:
        matches = {
            (pair.first, pair.second): pair.inliers
            for pair in store.two_view_geometries()
            if len(pair.inliers)
        }
        places = {key: store.keypoints(key)[:, :2] for key in {k for pair in matches for k in pair}}
        found = look_alikes(matches, places)
        for first, second in found.refused:
            store.replace_inliers(first, second, matches[first, second][:0])
    return found


def look_alikes(matches: Mapping[Pair, Matches], places: Mapping[int, Places]) -> LookAlikes:
    """The pairs that others contradict, the most contradicted first.

    One at a time, since a wrong pair puts the two others of its triangles in doubt as well.
    """
    votes = {triangle: _vote(triangle, matches, places) for triangle in _triangles(matches)}
    verdicts: dict[Pair, Verdict] = defaultdict(Verdict)
    for triangle, (agree, conflict) in votes.items():
        for pair in _sides(triangle):
            verdicts[pair].agree += agree
            verdicts[pair].conflict += conflict
            verdicts[pair].triangles.append(triangle)
    refused: list[Pair] = []
    while True:
        suspects = [
            pair
            for pair, verdict in verdicts.items()
            if verdict.conflict >= MIN_CONFLICTS and verdict.agreement < MAX_AGREEMENT
        ]
        if not suspects:
            return LookAlikes(refused=refused, doubtful=_doubtful(list(votes.values())))
        worst = min(suspects, key=lambda pair: (verdicts[pair].agreement, pair))
        refused.append(worst)
        for triangle in verdicts.pop(worst).triangles:
            agree, conflict = votes.pop(triangle, (0, 0))
            for pair in _sides(triangle):
                if pair in verdicts:
                    verdicts[pair].agree -= agree
                    verdicts[pair].conflict -= conflict


def _doubtful(votes: Sequence[tuple[int, int]]) -> bool:
    conflicts = sum(conflict for _, conflict in votes)
    total = conflicts + sum(agree for agree, _ in votes)
    return total >= MIN_VOTES and conflicts > DOUBTFUL_SHARE * total


def _triangles(pairs: Mapping[Pair, Matches]) -> Iterator[Triangle]:
    """Triples of photos, in the order of their ids, of which all three pairs match."""
    after: dict[int, list[int]] = defaultdict(list)
    for first, second in sorted(pairs):
        after[first].append(second)
    for i, following in after.items():
        for number, j in enumerate(following):
            for k in following[number + 1 :]:
                if (j, k) in pairs:
                    yield i, j, k


def _sides(triangle: Triangle) -> tuple[Pair, Pair, Pair]:
    i, j, k = triangle
    return (i, j), (i, k), (j, k)


def _vote(
    triangle: Triangle, matches: Mapping[Pair, Matches], places: Mapping[int, Places]
) -> tuple[int, int]:
    """How many features of three photos agree on what they show, and how many do not.

    A feature of the first photo has a partner in each of the two others; these two agree if they
    are partners, and do not if either has another one elsewhere.
    """
    (i, j, k), (ij, ik, jk) = triangle, (matches[side] for side in _sides(triangle))
    in_j = _partners(ij[:, 0], ij[:, 1], len(places[i]))
    in_k = _partners(ik[:, 0], ik[:, 1], len(places[i]))
    both = np.flatnonzero((in_j >= 0) & (in_k >= 0))
    b, c = in_j[both], in_k[both]
    there = _partners(jk[:, 0], jk[:, 1], len(places[j]))[b]
    back = _partners(jk[:, 1], jk[:, 0], len(places[k]))[c]
    off_k = np.where(there >= 0, _apart(places[k], c, there), -1.0)
    off_j = np.where(back >= 0, _apart(places[j], b, back), -1.0)
    off = np.maximum(off_j, off_k)
    known = off >= 0
    conflict = int((off > SAME_PLACE_PX).sum())
    return int(known.sum()) - conflict, conflict


def _partners(of: Matches, among: Matches, count: int) -> Matches:
    """[count] the partner of each feature, -1 where it has none."""
    found = np.full(count, -1, np.int64)
    found[of] = among
    return found


def _apart(places: Places, first: Matches, second: Matches) -> npt.NDArray[np.float64]:
    return np.asarray(np.linalg.norm(places[first] - places[second], axis=1), np.float64)
