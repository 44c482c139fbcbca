"""Which pixels of a plane are held by measured depth around them: interpolated, not extended."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.view_planes import rays_of

Map = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.bool_]
DIRECTIONS = np.array([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)])
DOWNWARD = 0.5
"""A floor goes on below the photo's lower border: steps with this much of the way down in them may
come to that border. The ceiling of a room does so above, a wall sideways and below."""
CEILING_HEIGHT = 3.0
"""A ceiling is less than so many times as high above the ground as the camera; eaves are higher."""
LEVEL = 0.98
"""Cosine of the angle between a floor's normal and the upright."""


@dataclass(frozen=True, kw_only=True)
class Support:
    """When measured depth holds a pixel of a plane."""

    tolerance: float = 0.01
    """How far measured depth may be off the plane, as a share of it."""
    meeting: float = 0.05
    """The same where two planes meet, at most."""
    gap_px: int = 3
    """So far from the line where two planes meet the border of their pieces may be, and measured
    depth may end."""
    directions: int = 3
    """Of eight, in so many there must be measured depth on the plane."""
    span: int = 3
    """Where a wall goes on beyond the photo's border, two of these are so many apart."""
    indoors: bool = False
    """Walls may go on beyond the upper border, too: there is no sky."""
    widest_gap: int = 3
    """So many directions side by side may be without: four would be half of all around."""


def supported(
    view: View,
    chosen: npt.NDArray[np.int32],
    planes: Floats,
    reliable: Map,
    confirmed: Pixels,
    rule: Support,
) -> Pixels:
    """Pixels on a plane (`chosen`, -1: on none) that measured depth holds from enough sides.

    `confirmed` pixels are held by what other views measured.
    """
    x, y = rays_of(view)
    on = np.zeros(chosen.shape, bool)
    _lies_on(chosen, planes, reliable, x, y, rule.tolerance, on)
    on |= confirmed & (chosen >= 0)
    down = DIRECTIONS @ view.R[:2, 1] / np.linalg.norm(DIRECTIONS, axis=1)
    floors, ceilings = _level_planes(view, planes)
    walls = ~(floors | ceilings)
    enough = np.stack([_enough_table(rule, rule.span), _enough_table(rule, 0)])
    easy = (~walls).astype(np.int64)[np.maximum(chosen, 0)]
    steps = np.array([x[1] - x[0], y[1] - y[0]])
    around = np.ones((2 * rule.gap_px + 1, 2 * rule.gap_px + 1), np.uint8)
    held = on
    # twice: what is held on one plane holds what meets it
    for _ in range(2):
        near = (cv2.dilate(held.astype(np.uint8), around) > 0) & (chosen >= 0)
        hits = np.zeros(chosen.shape, np.uint8)
        ends = np.zeros(chosen.shape, np.uint8)
        for bit, (du, dv) in enumerate(DIRECTIONS):
            may_end = floors & (down[bit] < -DOWNWARD) | ceilings & (down[bit] > DOWNWARD)
            may_end |= walls & (rule.indoors or down[bit] < DOWNWARD)
            _look(
                chosen, on, near, planes, x, y, steps, rule.meeting, rule.gap_px, may_end,
                du, dv, bit, hits, ends,
            )  # fmt: skip
        held = (chosen >= 0) & (on | enough[easy, hits, ends])
    thick = cv2.morphologyEx(held.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    return np.asarray(on | thick)


def _level_planes(view: View, planes: Floats) -> tuple[Pixels, Pixels]:
    """(K,) floors: level planes below the camera; (K,) ceilings: above it, as rooms have them."""
    upright = planes @ view.R[:, 1]
    level = np.abs(upright) > LEVEL * np.linalg.norm(planes, axis=1)
    stand = max(float(view.center[1]), 1e-9)
    above = 1 / np.where(upright > 0, upright, 1e-9)
    return level & (upright < 0), level & (upright > 0) & (above + stand < CEILING_HEIGHT * stand)


def _enough_table(rule: Support, span: int) -> npt.NDArray[np.bool_]:
    """[sides with measured depth, with the photo's border] as bits: whether that is enough.

    Where it is for the border that no gap is too wide, two of the sides with measured depth must be
    `span` apart.
    """
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    runs = np.concatenate([bits, bits], axis=1)
    widest, gap = np.zeros(256, int), np.zeros(256, int)
    for side in range(16):
        gap = np.where(runs[:, side] > 0, 0, gap + 1)
        widest = np.maximum(widest, gap)
    apart = np.zeros(256, bool)
    for side in range(8):
        for step in range(span, 8 - span + 1):
            apart |= (bits[:, side] & bits[:, (side + step) % 8]) > 0
    around = widest <= rule.widest_gap
    either = np.arange(256)[:, None] | np.arange(256)[None]
    several = bits.sum(axis=1) >= rule.directions
    return np.asarray(several[:, None] & (around[:, None] | (apart[:, None] & around[either])))


@njit(nogil=True, cache=True)
def _lies_on(chosen, planes, depth, x, y, tolerance, on):  # type: ignore[no-untyped-def]
    for v in range(chosen.shape[0]):
        for u in range(chosen.shape[1]):
            p = chosen[v, u]
            if p >= 0 and depth[v, u] > 0:
                w = planes[p, 0] * x[u] + planes[p, 1] * y[v] + planes[p, 2]
                on[v, u] = abs(w * depth[v, u] - 1) < tolerance


@njit(nogil=True, cache=True, inline="always")
def _meet(planes, p, q, x, y, steps, tolerance, gap):  # type: ignore[no-untyped-def]
    """Whether planes p and q meet within `gap` pixels of the ray (x, y), at about its depth."""
    w = planes[p, 0] * x + planes[p, 1] * y + planes[p, 2]
    off = abs(w - (planes[q, 0] * x + planes[q, 1] * y + planes[q, 2]))
    across = (planes[p, 0] - planes[q, 0]) * steps[0]
    down = (planes[p, 1] - planes[q, 1]) * steps[1]
    near = off <= gap * math.sqrt(across * across + down * down)
    return off < 0.2 * tolerance * w or (near and off < tolerance * w)


NOTHING, END, HELD = 0, 1, 2


@njit(nogil=True, cache=True)
def _look(  # type: ignore[no-untyped-def]
    chosen, on, near, planes, x, y, steps, tolerance, gap, may_end, du, dv, bit, hits, ends
):
    """Set `bit` where one step by (du, dv) after the other on the plane comes to held pixels
    (`hits`) or to the photo's border (`ends`)."""
    rows, columns = chosen.shape
    seen = np.zeros((2, columns), np.uint8)
    mark = np.uint8(1 << bit)
    for i in range(rows):
        v = i if dv <= 0 else rows - 1 - i
        now, before = seen[i % 2], seen[(i + 1) % 2]
        for j in range(columns):
            u = j if du <= 0 else columns - 1 - j
            now[u] = NOTHING
            p = chosen[v, u]
            if p < 0:
                continue
            if on[v, u]:
                now[u] = HELD
                continue
            a, b = u + du, v + dv
            if a < 0 or b < 0 or a >= columns or b >= rows:
                now[u] = END
            elif chosen[b, a] == p:
                now[u] = now[a] if dv == 0 else before[a]
            elif near[b, a] and _meet(planes, p, chosen[b, a], x[a], y[b], steps, tolerance, gap):
                now[u] = HELD
            if now[u] == HELD:
                hits[v, u] |= mark
            elif now[u] == END and may_end[p]:
                ends[v, u] |= mark
