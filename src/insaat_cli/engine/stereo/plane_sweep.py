"""The inner loops of `patchmatch`: one sweep over all pixels of a photo.

Kernels hold no lock and run on one thread: views are refined in parallel, so a result does not
depend on how many threads there are. Helpers are inlined: a call with arrays costs as much as
the comparison of two patches.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

RADIUS = 4
STEP = 2
_OFFSETS = [
    (dx, dy)
    for dy in range(-RADIUS, RADIUS + 1, STEP)
    for dx in range(-RADIUS, RADIUS + 1, STEP)
    if (dx, dy) != (0, 0)
]
SAMPLES = len(_OFFSETS)
"""24, the centre left out: whole vector registers, which makes a comparison 2.5 times faster."""
SAMPLE_DX = np.array([dx for dx, _ in _OFFSETS], np.float32)
SAMPLE_DY = np.array([dy for _, dy in _OFFSETS], np.float32)
NOISE_VARIANCE = 2.0
"""Of gray levels within a patch; contrast below it counts as none."""
WORST = 1.5
ROUGH_SCALE = 60.0
"""Full penalty where a plane misses the pixel beside it by 1/60 of the depth; a thousandth, which
is about what a photo can tell, costs next to nothing."""
MARGIN_PX = 0.005
"""A patch keeps off the border of the neighbour's photo by so much: its corner may be rounded to
the next pixel, and below the last row that lies behind the end of the array."""
STEEPEST = 6.0
"""Largest slope of a plane: tangent of the angle to the image plane."""


@njit(fastmath=True, error_model="numpy", inline="always")
def _random(state):  # type: ignore[no-untyped-def]
    state ^= (state << np.uint32(13)) & np.uint32(0xFFFFFFFF)
    state ^= state >> np.uint32(17)
    state ^= (state << np.uint32(5)) & np.uint32(0xFFFFFFFF)
    return np.uint32(state)


@njit(fastmath=True, error_model="numpy", inline="always")
def _signed(state):  # type: ignore[no-untyped-def]
    return np.float32(state) * np.float32(2.0 / 4294967296.0) - np.float32(1.0)


@njit(fastmath=True, error_model="numpy", inline="always")
def _patch(reference, x, y, weights, weight, centred):  # type: ignore[no-untyped-def]
    """Fill bilateral weights (sum 1) and weighted centred gray levels; return their variance."""
    middle = np.int32(reference[y + RADIUS, x + RADIUS])
    total, mean = np.float32(0), np.float32(0)
    for k in range(SAMPLES):
        gray = np.int32(reference[y + RADIUS + int(SAMPLE_DY[k]), x + RADIUS + int(SAMPLE_DX[k])])
        value = weights[abs(gray - middle)]
        weight[k] = value
        centred[k] = np.float32(gray)
        total += value
        mean += value * np.float32(gray)
    scale = np.float32(1) / total
    mean *= scale
    variance = np.float32(0)
    for k in range(SAMPLES):
        value = weight[k] * scale
        offset = centred[k] - mean
        weight[k] = value
        centred[k] = value * offset
        variance += value * offset * offset
    return variance


@njit(fastmath=True, error_model="numpy", inline="always")
def _view_cost(  # type: ignore[no-untyped-def]
    grays, stride, sizes, M, T, view, x, y, w, wx, wy, weight, centred, variance
):
    """1 - NCC of one neighbour under the plane; WORST outside of the neighbour's photo."""
    fx, fy = np.float32(x), np.float32(y)
    depth = M[view, 2, 0] * fx + M[view, 2, 1] * fy + M[view, 2, 2] + T[view, 2] * w
    if depth <= np.float32(1e-6):
        return np.float32(WORST)
    inverse = np.float32(1) / depth
    u = (M[view, 0, 0] * fx + M[view, 0, 1] * fy + M[view, 0, 2] + T[view, 0] * w) * inverse
    v = (M[view, 1, 0] * fx + M[view, 1, 1] * fy + M[view, 1, 2] + T[view, 1] * w) * inverse
    dzx, dzy = M[view, 2, 0] + T[view, 2] * wx, M[view, 2, 1] + T[view, 2] * wy
    ux = (M[view, 0, 0] + T[view, 0] * wx - u * dzx) * inverse
    uy = (M[view, 0, 1] + T[view, 0] * wy - u * dzy) * inverse
    vx = (M[view, 1, 0] + T[view, 1] * wx - v * dzx) * inverse
    vy = (M[view, 1, 1] + T[view, 1] * wy - v * dzy) * inverse
    reach = np.float32(RADIUS)
    du = reach * (abs(ux) + abs(uy)) + np.float32(MARGIN_PX)
    dv = reach * (abs(vx) + abs(vy)) + np.float32(MARGIN_PX)
    if u - du < 0 or v - dv < 0 or u + du >= sizes[view, 1] or v + dv >= sizes[view, 0]:
        return np.float32(WORST)
    sum_b, sum_bb, sum_ab = np.float32(0), np.float32(0), np.float32(0)
    start = np.int32(view * (len(grays) // len(M)))
    for k in range(SAMPLES):
        column = np.int32(u + ux * SAMPLE_DX[k] + uy * SAMPLE_DY[k])
        row = np.int32(v + vx * SAMPLE_DX[k] + vy * SAMPLE_DY[k])
        b = np.float32(grays[np.uint32(start + row * stride + column)])
        wb = weight[k] * b
        sum_b += wb
        sum_bb += wb * b
        sum_ab += centred[k] * b
    other = sum_bb - sum_b * sum_b
    noise = np.float32(NOISE_VARIANCE)
    return np.float32(1) - sum_ab / math.sqrt(
        (variance + noise) * (max(other, np.float32(0)) + noise)
    )


@njit(fastmath=True, error_model="numpy", inline="always")
def _first_cost(  # type: ignore[no-untyped-def]
    grays, stride, sizes, M, T, best, x, y, w, wx, wy, weight, centred, variance, scratch, order
):
    """Mean over the `best` most alike neighbours; fill `order`, most alike first."""
    for view in range(len(M)):
        value = _view_cost(
            grays, stride, sizes, M, T, view, x, y, w, wx, wy, weight, centred, variance
        )
        place = view
        while place > 0 and scratch[place - 1] > value:
            scratch[place], order[place] = scratch[place - 1], order[place - 1]
            place -= 1
        scratch[place], order[place] = value, view
    total = np.float32(0)
    for k in range(best):
        total += scratch[k]
    return total / np.float32(best)


@njit(fastmath=True, error_model="numpy", inline="always")
def _trial_cost(  # type: ignore[no-untyped-def]
    grays, stride, sizes, M, T, best, x, y, w, wx, wy, weight, centred, variance, order
):
    """Mean over the neighbours without the worst of the `best` + 1 that looked most alike."""
    total, worst = np.float32(0), np.float32(0)
    count = min(best + 1, len(M))
    for k in range(count):
        value = _view_cost(
            grays, stride, sizes, M, T, order[k], x, y, w, wx, wy, weight, centred, variance
        )
        total += value
        worst = max(worst, value)
    if count > best:
        total -= worst
    return total / np.float32(best)


@njit(fastmath=True, error_model="numpy", inline="always")
def _roughness(w_map, x, y, w, wx, wy):  # type: ignore[no-untyped-def]
    """How far the plane misses the four pixels around: 0 (through all) to 1."""
    rows, columns = w_map.shape
    total = np.float32(0)
    scale = np.float32(ROUGH_SCALE) / w
    one = np.float32(1)
    if x > 0:
        total += min(one, ((w_map[y, x - 1] - (w - wx)) * scale) ** 2)
    if x + 1 < columns:
        total += min(one, ((w_map[y, x + 1] - (w + wx)) * scale) ** 2)
    if y > 0:
        total += min(one, ((w_map[y - 1, x] - (w - wy)) * scale) ** 2)
    if y + 1 < rows:
        total += min(one, ((w_map[y + 1, x] - (w + wy)) * scale) ** 2)
    return total * np.float32(0.25)


@njit(fastmath=True, error_model="numpy", inline="always")
def _extended(w_map, wx_map, wy_map, nx, ny, x, y):  # type: ignore[no-untyped-def]
    """The plane of pixel (nx, ny) at (x, y); inverse depth -1 outside of the photo."""
    rows, columns = w_map.shape
    tw, twx, twy = np.float32(-1), np.float32(0), np.float32(0)
    if nx >= 0 and ny >= 0 and nx < columns and ny < rows:
        twx, twy = wx_map[ny, nx], wy_map[ny, nx]
        tw = w_map[ny, nx] + twx * np.float32(x - nx) + twy * np.float32(y - ny)
    return tw, twx, twy


@njit(fastmath=True, error_model="numpy", inline="always")
def _changed(trial, w, wx, wy, state, depth_step, slope_step):  # type: ignore[no-untyped-def]
    """The plane itself (trial 0), or with a random change: depth (3), slope (4), both (5 on)."""
    tw, twx, twy = w, wx, wy
    shrink = np.float32(1) if trial < 5 else np.float32(0.25)
    if trial == 3 or trial > 4:
        state = _random(state)
        tw = w * (np.float32(1) + shrink * depth_step * _signed(state))
    if trial > 3:
        slope = shrink * slope_step * w
        state = _random(state)
        twx = wx + slope * _signed(state)
        state = _random(state)
        twy = wy + slope * _signed(state)
    return tw, twx, twy, state


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def sweep(  # type: ignore[no-untyped-def]  # noqa: C901 - one loop, kept in one piece for speed
    reference, w_map, wx_map, wy_map, cost_map, grays, stride, sizes, M, T, weights, focal,
    w_low, w_high, best, depth_step, slope_step, smoothness, trials, min_variance, backward, seed,
):  # fmt: skip
    """One pass over all pixels: planes of the pixels before, then random changes."""
    rows, columns = w_map.shape
    weight = np.empty(SAMPLES, np.float32)
    centred = np.empty(SAMPLES, np.float32)
    scratch = np.empty(len(M), np.float32)
    order = np.empty(len(M), np.int64)
    for row in range(rows):
        y = rows - 1 - row if backward else row
        before_y = y + 1 if backward else y - 1
        for column in range(columns):
            x = columns - 1 - column if backward else column
            before_x = x + 1 if backward else x - 1
            variance = _patch(reference, x, y, weights, weight, centred)
            if variance < min_variance:
                cost_map[y, x] = np.float32(WORST)
                continue
            state = np.uint32(seed * np.uint32(2654435761)) ^ np.uint32(y * columns + x + 1)
            state = _random(_random(state | np.uint32(1)))
            w, wx, wy = w_map[y, x], wx_map[y, x], wy_map[y, x]
            lowest = np.float32(1e9)
            photo = np.float32(WORST)
            for trial in range(trials):
                if trial == 1 or trial == 2:
                    ny = y if trial == 1 else before_y
                    nx = before_x if trial == 1 else x
                    tw, twx, twy = _extended(w_map, wx_map, wy_map, nx, ny, x, y)
                else:
                    tw, twx, twy, state = _changed(
                        trial, w, wx, wy, state, depth_step, slope_step / focal
                    )
                limit = np.float32(STEEPEST) * tw / focal
                steep = twx * twx + twy * twy > limit * limit
                if trial == 0:
                    tw = min(max(tw, w_low), w_high)
                    if steep:
                        twx, twy = np.float32(0), np.float32(0)
                elif steep or tw < w_low or tw > w_high:
                    continue
                if trial == 0:
                    value = _first_cost(
                        grays, stride, sizes, M, T, best, x, y, tw, twx, twy,
                        weight, centred, variance, scratch, order,
                    )  # fmt: skip
                else:
                    value = _trial_cost(
                        grays, stride, sizes, M, T, best, x, y, tw, twx, twy,
                        weight, centred, variance, order,
                    )  # fmt: skip
                total = value + smoothness * _roughness(w_map, x, y, tw, twx, twy)
                if total < lowest:
                    lowest, photo = total, value
                    w, wx, wy = tw, twx, twy
            w_map[y, x], wx_map[y, x], wy_map[y, x] = w, wx, wy
            cost_map[y, x] = photo
