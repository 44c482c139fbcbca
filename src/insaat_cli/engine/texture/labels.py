"""One photo for each face: good, and the same as the neighbours' wherever that costs little.

A Potts model on the face adjacency graph, minimised by sequential tree-reweighted message passing
(Kolmogorov, "Convergent Tree-Reweighted Message Passing for Energy Minimization", PAMI 2006).
It is deterministic, and a few sweeps do.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.texture.adjacency import Adjacency
from insaat_cli.engine.texture.candidates import Candidates

NO_PHOTO = -1
SWEEPS = 12


def choose_photos(
    candidates: Candidates, adjacency: Adjacency, *, smoothness: float, sweeps: int = SWEEPS
) -> NDArray[np.int32]:
    """The photo (F,) of every face; -1 for those that no photo saw.

    A face pays 0 for its best photo and up to 1 for worse ones, and `smoothness` for each
    neighbour with another photo.
    """
    best = candidates.quality.max(axis=1, initial=0.0, where=_valid(candidates))
    cost = 1.0 - candidates.quality / np.maximum(best, np.float32(1e-12))[:, None]
    slots = _own_slots(adjacency.neighbours)
    messages = np.zeros((*adjacency.neighbours.shape, cost.shape[1]), np.float32)
    labels = np.full(len(cost), NO_PHOTO, np.int32)
    for _ in range(sweeps):
        for forward in (True, False):
            _sweep(
                candidates.count, candidates.photo, cost.astype(np.float32, copy=False),
                adjacency.neighbours, slots, np.float32(smoothness), messages, forward,
            )  # fmt: skip
    _decode(
        candidates.count, candidates.photo, cost, adjacency.neighbours, np.float32(smoothness),
        messages, labels,
    )  # fmt: skip
    return labels


def _valid(candidates: Candidates) -> NDArray[np.bool_]:
    return np.arange(candidates.photo.shape[1]) < candidates.count[:, None]


@numba.njit(cache=True, nogil=True)
def _own_slots(neighbours):  # type: ignore[no-untyped-def]
    """(F, 3) the side under which the neighbour across a side knows the face."""
    slots = np.empty(neighbours.shape, np.int32)
    for face in range(len(neighbours)):
        for side in range(3):
            other = neighbours[face, side]
            if other < 0:
                continue
            # Two faces may share two edges; the k-th meeting here is the k-th meeting there.
            meeting = 0
            for earlier in range(side):
                meeting += neighbours[face, earlier] == other
            for theirs in range(3):
                if neighbours[other, theirs] == face:
                    if meeting == 0:
                        slots[face, side] = theirs
                        break
                    meeting -= 1
    return slots


@numba.njit(cache=True, nogil=True)
def _sweep(count, photos, cost, neighbours, slots, smoothness, messages, forward):  # type: ignore[no-untyped-def]
    """Send every face's messages to the neighbours that come later in this direction."""
    faces = len(count)
    belief = np.empty(photos.shape[1], np.float32)
    for step in range(faces):
        face = step if forward else faces - 1 - step
        n = count[face]
        if n == 0:
            continue
        for k in range(n):
            belief[k] = cost[face, k]
        before, after = 0, 0
        for side in range(3):
            other = neighbours[face, side]
            if other < 0 or count[other] == 0:
                continue
            before += other < face
            after += other > face
            for k in range(n):
                belief[k] += messages[face, side, k]
        weight = np.float32(1.0 / max(before, after, 1))
        for side in range(3):
            other = neighbours[face, side]
            if other < 0 or count[other] == 0 or (other > face) != forward:
                continue
            _send(
                belief, weight, messages[face, side], photos[face], n,
                messages[other, slots[face, side]], photos[other], count[other], smoothness,
            )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _send(belief, weight, received, photos, n, sent, their_photos, m, smoothness):  # type: ignore[no-untyped-def]
    """Fill the message `sent` over the m photos of the neighbour, its smallest entry 0."""
    lowest = np.float32(np.inf)
    for k in range(n):
        lowest = min(lowest, weight * belief[k] - received[k])
    lowest_sent = np.float32(np.inf)
    k = 0
    for j in range(m):
        value = lowest + smoothness
        while k < n and photos[k] < their_photos[j]:
            k += 1
        if k < n and photos[k] == their_photos[j]:
            value = min(value, weight * belief[k] - received[k])
        sent[j] = value
        lowest_sent = min(lowest_sent, value)
    for j in range(m):
        sent[j] -= lowest_sent


@numba.njit(cache=True, nogil=True)
def _decode(count, photos, cost, neighbours, smoothness, messages, labels):  # type: ignore[no-untyped-def]
    """Fix the labels one after the other, given those already fixed and the messages."""
    for face in range(len(count)):
        best = np.inf
        for k in range(count[face]):
            value = cost[face, k]
            for side in range(3):
                other = neighbours[face, side]
                if other < 0 or count[other] == 0:
                    continue
                if other < face:
                    value += smoothness * (labels[other] != photos[face, k])
                else:
                    value += messages[face, side, k]
            if value < best:
                best = value
                labels[face] = photos[face, k]
