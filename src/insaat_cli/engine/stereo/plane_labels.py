"""Which plane every piece of a view lies on, if any: a Markov random field over its pieces.

After Sinha et al. 2009 and Gallup et al. 2010 (piecewise planar stereo), by min-sum belief
propagation. Labels change where colors do, or where two planes meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.plane_evidence import Evidence
from insaat_cli.engine.stereo.superpixels import Superpixels
from insaat_cli.engine.stereo.view_planes import rays_through

Map = npt.NDArray[np.float32]
NONE = -1
"""Label of a piece on no plane."""
TILTED = 0.1
"""Radians off the upright, or off level, from which on a plane is neither."""
BELOW = 0.03
"""Farther than the ground by this share of the distance is below it."""
CANDIDATES = 8
"""Labels that a piece chooses from, none of them among these."""


@dataclass(frozen=True, kw_only=True)
class LabelCosts:
    """What labels cost, in units of a piece."""

    on: float = 1.5
    off: float = 3.0
    confirmed: float = 1.0
    pierced: float = 3.0
    unlike: float = 3.0
    tilted: float = 0.15
    """Of a plane neither upright nor level."""
    alike: float = 1.0
    alike_from: float = 0.5
    """Correlation that begins to speak for a plane; it speaks in full at 0.9."""
    below_floor: float = 1.0
    """Of a plane beyond the ground: nothing is seen there."""
    none: float = 0.7
    smoothness: float = 1.6
    contrast: float = 12.0
    """Difference of color across a border at which it costs a third."""
    meeting: float = 0.02
    """Two planes whose depths differ by this share at a border cost in full there."""
    rounds: int = 12


def choose_planes(
    view: View,
    pieces: Superpixels,
    planes: Floats,
    floor: Floats,
    evidence: Evidence,
    costs: LabelCosts,
) -> npt.NDArray[np.int32]:
    """(S,): the plane of every piece, NONE where none fits; `floor` is (0, 3) if unknown."""
    unary = (
        costs.off * evidence.off
        - costs.on * evidence.on
        - costs.confirmed * evidence.confirmed
        + costs.pierced * evidence.pierced
        + costs.unlike * evidence.unlike
        - costs.alike
        * np.clip((evidence.alike - costs.alike_from) / (0.9 - costs.alike_from), 0, 1)
    )
    upright = np.abs(planes @ view.R[:, 1]) / np.linalg.norm(planes, axis=1)
    unary = unary + costs.tilted * ((upright > TILTED) & (upright < 1 - 0.5 * TILTED**2))
    if len(floor):
        rays = rays_through(view, pieces.centers())
        below = (rays @ planes.T) < (1 - BELOW) * (rays @ floor.T)
        unary = unary + costs.below_floor * below
    count = min(CANDIDATES, len(planes))
    order = np.argsort(unary, axis=1, kind="stable")[:, :count]
    labels = np.full((pieces.count, count + 1), NONE, np.int32)
    labels[:, :count] = order
    cost = np.full(labels.shape, costs.none, np.float32)
    cost[:, :count] = np.take_along_axis(unary, order, axis=1)
    rays = rays_through(view, pieces.middle)
    typical = max(float(np.median(pieces.length)), 1.0)
    weight = costs.smoothness * 0.25 * np.minimum(pieces.length / typical, 3)
    weight = weight * (0.1 + 0.9 * np.exp(-pieces.contrast / costs.contrast))
    starts, edges = _directed(pieces)
    messages = np.zeros((2 * len(pieces.pairs), count + 1), np.float32)
    _propagate(
        cost, labels, pieces.pairs, weight.astype(np.float32), (rays @ planes.T).astype(np.float32),
        np.float32(costs.meeting), starts, edges, costs.rounds, messages,
    )  # fmt: skip
    return np.asarray(_decide(cost, labels, starts, edges, messages), np.int32)


def _directed(pieces: Superpixels) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Borders of every piece: `edges[starts[s]:starts[s + 1]]`, 2 m + 1 if it is the second."""
    ends = pieces.pairs.ravel()
    edges = np.argsort(ends, kind="stable")
    starts = np.searchsorted(ends[edges], np.arange(pieces.count + 1))
    return starts.astype(np.int64), edges.astype(np.int64)


@njit(nogil=True, cache=True, fastmath=True)
def _propagate(  # type: ignore[no-untyped-def]
    cost, labels, pairs, weight, w, meeting, starts, edges, rounds, messages
):
    """Min-sum messages, piece by piece forth and back. `messages[e]` goes to the piece of end e."""
    count = labels.shape[1]
    total = np.empty(count, np.float32)
    for turn in range(rounds):
        for step in range(len(cost)):
            s = step if turn % 2 == 0 else len(cost) - 1 - step
            for a in range(count):
                total[a] = cost[s, a]
            for e in edges[starts[s] : starts[s + 1]]:
                for a in range(count):
                    total[a] += messages[e, a]
            for e in edges[starts[s] : starts[s + 1]]:
                m, other = e // 2, e ^ 1
                t = pairs[m, other % 2]
                lowest = np.float32(1e9)
                for b in range(count):
                    best = np.float32(1e9)
                    for a in range(count):
                        value = total[a] - messages[e, a]
                        value += weight[m] * _change(labels[s, a], labels[t, b], w[m], meeting)
                        best = min(best, value)
                    messages[other, b] = best
                    lowest = min(lowest, best)
                for b in range(count):
                    messages[other, b] -= lowest


@njit(nogil=True, cache=True, fastmath=True, inline="always")
def _change(p, q, w, meeting):  # type: ignore[no-untyped-def]
    """Cost of a change from plane p to plane q at a border where they have inverse depths w."""
    if p == q:
        return np.float32(0)
    if p < 0 or q < 0:
        return np.float32(0.7)
    gap = abs(w[p] - w[q]) / (max(w[p], w[q]) * meeting + np.float32(1e-12))
    return np.float32(0.15) + np.float32(0.85) * min(np.float32(1), abs(gap))


@njit(nogil=True, cache=True)
def _decide(cost, labels, starts, edges, messages):  # type: ignore[no-untyped-def]
    chosen = np.empty(len(cost), np.int32)
    for s in range(len(cost)):
        total = cost[s].copy()
        for e in edges[starts[s] : starts[s + 1]]:
            total += messages[e]
        chosen[s] = labels[s, np.argmin(total)]
    return chosen
