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
from insaat_cli.engine.stereo.superpixels import Superpixels, components
from insaat_cli.engine.stereo.view_planes import rays_through

Map = npt.NDArray[np.float32]
NONE = -1
"""Label of a piece on no plane."""
TILTED = 0.1
"""Radians off the upright, or off level, from which on a plane is neither."""
BELOW = 0.03
"""Farther than the ground by this share of the distance is below it."""
FIRST = 0.1
"""Inferred planes are looked at before others that cost less by this: only few are."""
CANDIDATES = 10
"""Labels that a piece chooses from, none of them among these."""


@dataclass(frozen=True, kw_only=True)
class LabelCosts:
    """What labels cost, in units of a piece."""

    on: float = 1.5
    off: float = 3.0
    confirmed: float = 1.0
    pierced: float = 3.0
    unlike: float = 2.0
    rare: float = 0.3
    """Of a plane with hardly any measured depth on it, here or in other views."""
    often: float = 0.02
    """Of the photo, what lies on a plane that costs nothing for being rare."""
    unsupported: float = 0.7
    """Of a plane where pieces side by side have nothing measured on it: they look again."""
    supported_share: float = 0.05
    """Of pieces side by side, what must be measured on their plane."""
    inferred: float = 0.05
    """Of a plane without measured depth on it, known by its edges."""
    met_share: float = 0.25
    """Of the border of pieces on such a plane, where it must meet the planes beside it."""
    within_share: float = 0.75
    """Of their border, where another single plane must be for them to lie within it."""
    tilted: float = 0.15
    """Of a plane neither upright nor level."""
    noise: float = 0.03
    """Planes on which photos are no more unlike than on the best by this are as good."""
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
    rounds: int = 10


def choose_planes(
    view: View,
    pieces: Superpixels,
    planes: Floats,
    ground: Floats,
    inferred: npt.NDArray[np.bool_],
    evidence: Evidence,
    costs: LabelCosts,
) -> npt.NDArray[np.int32]:
    """(S,): the plane of every piece, NONE where none fits.

    `ground` is (1, 3), (0, 3) if unknown. Planes that are `inferred` (K,) have no measured depth on
    them to speak for them.
    """
    unary = _unary(view, pieces, planes, ground, inferred, evidence, costs)
    rays = rays_through(view, pieces.middle)
    typical = max(float(np.median(pieces.length)), 1.0)
    weight = costs.smoothness * 0.25 * np.minimum(pieces.length / typical, 3)
    weight = (weight * (0.1 + 0.9 * np.exp(-pieces.contrast / costs.contrast))).astype(np.float32)
    w = (rays @ planes.T).astype(np.float32)
    chosen = _solved(pieces, unary, inferred, weight, w, costs)
    lonely = _unsupported(pieces, chosen, evidence, inferred, w, costs)
    lonely &= (chosen > 0) | (len(ground) == 0)
    if not lonely.any():
        return chosen
    unary[lonely, chosen[lonely]] += costs.unsupported
    return _solved(pieces, unary, inferred, weight, w, costs)


def _unary(
    view: View,
    pieces: Superpixels,
    planes: Floats,
    ground: Floats,
    inferred: npt.NDArray[np.bool_],
    evidence: Evidence,
    costs: LabelCosts,
) -> Map:
    """(S, K): what every plane costs a piece by itself."""
    least = evidence.unlike.min(axis=1, keepdims=True)
    textured = (evidence.alike - costs.alike_from) / (0.9 - costs.alike_from)
    unary = (
        costs.off * evidence.off
        - costs.on * evidence.on
        - costs.confirmed * evidence.confirmed
        + costs.pierced * evidence.pierced
        + costs.unlike * np.maximum(evidence.unlike - least - costs.noise, 0)
        - costs.alike * np.clip(textured, 0, 1)
    )
    measured = np.maximum(evidence.on, evidence.confirmed)
    share = pieces.area @ measured / pieces.area.sum()
    rare = np.where(inferred, costs.inferred, costs.rare * (1 - np.minimum(share / costs.often, 1)))
    upright = np.abs(planes @ view.R[:, 1]) / np.linalg.norm(planes, axis=1)
    tilted = (upright > TILTED) & (upright < 1 - 0.5 * TILTED**2)
    unary += rare + costs.tilted * tilted
    if len(ground):
        rays = rays_through(view, pieces.centers())
        unary += costs.below_floor * ((rays @ planes.T) < (1 - BELOW) * (rays @ ground.T))
    return np.asarray(unary, np.float32)


def _unsupported(
    pieces: Superpixels,
    chosen: npt.NDArray[np.int32],
    evidence: Evidence,
    inferred: npt.NDArray[np.bool_],
    w: Map,
    costs: LabelCosts,
) -> npt.NDArray[np.bool_]:
    """(S,): pieces that, with those beside them on the same plane, have nothing to hold them there.

    Measured depth does, and edges along which planes that are inferred from them meet others.
    """
    own = np.arange(pieces.count), np.maximum(chosen, 0)
    measured = np.maximum(evidence.on, evidence.confirmed)[own]
    one, other = pieces.pairs[:, 0], pieces.pairs[:, 1]
    group = components(pieces.count, pieces.pairs[chosen[one] == chosen[other]])
    area = np.bincount(group, pieces.area, minlength=pieces.count)
    held = np.bincount(group, pieces.area * measured, minlength=pieces.count)
    lonely = (held < costs.supported_share * area)[group]
    edge = group[one] != group[other]
    p, q = np.maximum(chosen[one], 0), np.maximum(chosen[other], 0)
    mine, theirs = (np.take_along_axis(w, some[:, None], axis=1)[:, 0] for some in (p, q))
    meet = np.abs(mine - theirs) < costs.meeting * np.maximum(np.abs(mine), np.abs(theirs))
    meet &= (chosen[one] >= 0) & (chosen[other] >= 0)
    sides = np.concatenate([group[one][edge], group[other][edge]])
    length = np.tile(pieces.length[edge], 2)
    total = np.bincount(sides, length, minlength=pieces.count)
    met = np.bincount(sides, length * np.tile(meet[edge], 2), minlength=pieces.count)
    # what lies within another plane is part of it
    beside = np.concatenate([chosen[other][edge], chosen[one][edge]]) + 1
    kinds = len(inferred) + 1
    most = np.bincount(sides * kinds + beside, length, minlength=pieces.count * kinds)
    within = most.reshape(pieces.count, kinds)[:, 1:].max(axis=1) > costs.within_share * total
    apart = ((met < costs.met_share * total) | within)[group]
    return np.asarray((chosen >= 0) & lonely & (apart | ~inferred[np.maximum(chosen, 0)]))


def _solved(
    pieces: Superpixels,
    unary: Map,
    inferred: npt.NDArray[np.bool_],
    weight: Map,
    w: Map,
    costs: LabelCosts,
) -> npt.NDArray[np.int32]:
    """(S,): labels of low cost; `weight` (M,) of borders, `w` (M, K) inverse depths there."""
    count = min(CANDIDATES, unary.shape[1])
    order = np.argsort(unary - FIRST * inferred, axis=1, kind="stable")[:, :count]
    labels = np.full((pieces.count, count + 1), NONE, np.int32)
    labels[:, :count] = order
    cost = np.full(labels.shape, costs.none, np.float32)
    cost[:, :count] = np.take_along_axis(unary, order, axis=1)
    starts, edges = _directed(pieces)
    messages = np.zeros((2 * len(pieces.pairs), count + 1), np.float32)
    _propagate(
        cost, labels, pieces.pairs, weight, w, np.float32(costs.meeting), starts, edges,
        costs.rounds, messages,
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
