"""Which pixels of a plane are held by measured depth around them: interpolated, not extended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.view_planes import rays_of

Map = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.bool_]
DIRECTIONS = np.array([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)])


@dataclass(frozen=True, kw_only=True)
class Support:
    """When measured depth holds a pixel of a plane."""

    tolerance: float = 0.01
    """How far measured depth may be off the plane, as a share of it."""
    directions: int = 3
    """Of eight, in so many there must be measured depth on the plane."""
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
    hits = np.zeros(chosen.shape, np.uint8)
    for bit, (du, dv) in enumerate(DIRECTIONS):
        _look(chosen, on, planes, reliable, x, y, rule.tolerance, du, dv, bit, hits)
    enough = np.array([_enough(mask, rule) for mask in range(256)])
    return np.asarray((chosen >= 0) & (on | enough[hits]))


def _enough(mask: int, rule: Support) -> bool:
    sides = [bool(mask >> bit & 1) for bit in range(8)]
    if sum(sides) < rule.directions:
        return False
    gap = widest = 0
    for side in sides + sides:
        gap = 0 if side else gap + 1
        widest = max(widest, gap)
    return widest <= rule.widest_gap


@njit(nogil=True, cache=True)
def _lies_on(chosen, planes, depth, x, y, tolerance, on):  # type: ignore[no-untyped-def]
    for v in range(chosen.shape[0]):
        for u in range(chosen.shape[1]):
            p = chosen[v, u]
            if p >= 0 and depth[v, u] > 0:
                w = planes[p, 0] * x[u] + planes[p, 1] * y[v] + planes[p, 2]
                on[v, u] = abs(w * depth[v, u] - 1) < tolerance


@njit(nogil=True, cache=True)
def _look(  # type: ignore[no-untyped-def]  # noqa: C901 - one loop, kept in one piece for speed
    chosen, on, planes, depth, x, y, tolerance, du, dv, bit, hits
):
    """Set `bit` of `hits` where a step by (-du, -dv) after the other comes to held pixels."""
    rows, columns = chosen.shape
    reach = np.full((2, columns), -1, np.int32)
    for i in range(rows):
        v = i if dv >= 0 else rows - 1 - i
        now, before = reach[i % 2], reach[(i + 1) % 2]
        for j in range(columns):
            u = j if du >= 0 else columns - 1 - j
            now[u] = -1
            p = chosen[v, u]
            if p < 0:
                continue
            if on[v, u]:
                now[u] = 0
                continue
            a, b = u - du, v - dv
            if a < 0 or b < 0 or a >= columns or b >= rows:
                continue
            if chosen[b, a] == p:
                last = now[a] if dv == 0 else before[a]
                if last >= 0:
                    now[u] = last + 1
            elif depth[b, a] > 0:
                # another plane that meets this one here
                w = planes[p, 0] * x[a] + planes[p, 1] * y[b] + planes[p, 2]
                if abs(w * depth[b, a] - 1) < tolerance:
                    now[u] = 1
            if now[u] > 0:
                hits[v, u] |= np.uint8(1 << bit)
