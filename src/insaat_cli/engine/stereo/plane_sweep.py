"""The inner loop of `patchmatch`: one sweep over all pixels of a photo.

It holds no lock and runs on one thread: views are refined in parallel, so a result does not depend
on how many threads there are. It is one function, since numba counts references to every array that
it gives to another, inlined or not: six of them cost more than the comparison of two patches.
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
OFFSET_X = np.array([dx for dx, _ in _OFFSETS], np.int64)
OFFSET_Y = np.array([dy for _, dy in _OFFSETS], np.int64)
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
def _changed(trial, w, wx, wy, state, depth_step, slope_step):  # type: ignore[no-untyped-def]
    """The plane with a random change: of depth (trial 3), slope (4), both (5 on)."""
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
    reference, w_map, wx_map, wy_map, cost_map, order_map, grays, starts, stride, sizes, geometry,
    weights, focal, w_low, w_high, best, depth_step, slope_step, smoothness, trials, sparing,
    min_variance, turn, seed,
):  # fmt: skip
    """One pass over all pixels: planes of the pixels before, then random changes.

    `geometry` is (V, 12), the rows of [M | T]; `starts` where each photo begins in `grays`.
    `order_map` (rows, columns, K) keeps which neighbours are asked, most alike first: all by the
    first of the sweeps (`turn` 0), these alone by the others, which also know the cost already.
    `sparing`: a pixel tries every other random change, since what is good spreads to the next.
    """
    rows, columns = w_map.shape
    views, kept = len(geometry), order_map.shape[2]
    weight = np.empty(SAMPLES, np.float32)
    centred = np.empty(SAMPLES, np.float32)
    scratch = np.empty(views, np.float32)
    order = np.empty(views, np.int64)
    backward = turn % 2 == 1
    one, reach, noise = np.float32(1), np.float32(RADIUS), np.float32(NOISE_VARIANCE)
    share = one / np.float32(best)
    steepest = np.float32(STEEPEST) / focal
    steepest *= steepest
    for row in range(rows):
        y = rows - 1 - row if backward else row
        before_y = y + 1 if backward else y - 1
        fy = np.float32(y)
        for column in range(columns):
            x = columns - 1 - column if backward else column
            before_x = x + 1 if backward else x - 1
            fx = np.float32(x)
            # The patch: bilateral weights (sum 1), gray levels less their mean, their variance.
            middle = np.int32(reference[y + RADIUS, x + RADIUS])
            total, mean = np.float32(0), np.float32(0)
            for k in range(SAMPLES):
                gray = np.int32(reference[y + RADIUS + OFFSET_Y[k], x + RADIUS + OFFSET_X[k]])
                value = weights[abs(gray - middle)]
                weight[k] = value
                centred[k] = np.float32(gray)
                total += value
                mean += value * np.float32(gray)
            scale = one / total
            mean *= scale
            variance = np.float32(0)
            for k in range(SAMPLES):
                value = weight[k] * scale
                offset = centred[k] - mean
                weight[k] = value
                centred[k] = value * offset
                variance += value * offset * offset
            if variance < min_variance:
                cost_map[y, x] = np.float32(WORST)
                continue
            variance += noise
            state = np.uint32(seed * np.uint32(2654435761)) ^ np.uint32(y * columns + x + 1)
            state = _random(_random(state | np.uint32(1)))
            w, wx, wy = w_map[y, x], wx_map[y, x], wy_map[y, x]
            lowest, photo = np.float32(1e9), np.float32(WORST)
            if turn > 0:
                photo = cost_map[y, x]
                for k in range(kept):
                    order[k] = order_map[y, x, k]
            for trial in range(trials):
                if sparing and trial > 2 and (trial + x + y + turn) % 2 == 1:
                    continue
                # The plane: that of the pixel itself, of the two before, or one changed at random.
                tw, twx, twy = w, wx, wy
                if trial == 1 or trial == 2:
                    ny = y if trial == 1 else before_y
                    nx = before_x if trial == 1 else x
                    if nx < 0 or ny < 0 or nx >= columns or ny >= rows:
                        continue
                    twx, twy = wx_map[ny, nx], wy_map[ny, nx]
                    tw = w_map[ny, nx] + twx * np.float32(x - nx) + twy * np.float32(y - ny)
                elif trial > 2:
                    tw, twx, twy, state = _changed(
                        trial, w, wx, wy, state, depth_step, slope_step / focal
                    )
                steep = twx * twx + twy * twy > steepest * tw * tw
                if trial == 0:
                    tw = min(max(tw, w_low), w_high)
                    if steep:
                        twx, twy = np.float32(0), np.float32(0)
                elif steep or tw < w_low or tw > w_high:
                    continue
                # How far it misses the four pixels around: 0 (through all) to 1.
                rough = np.float32(0)
                scale = np.float32(ROUGH_SCALE) / tw
                if x > 0:
                    rough += min(one, ((w_map[y, x - 1] - (tw - twx)) * scale) ** 2)
                if x + 1 < columns:
                    rough += min(one, ((w_map[y, x + 1] - (tw + twx)) * scale) ** 2)
                if y > 0:
                    rough += min(one, ((w_map[y - 1, x] - (tw - twy)) * scale) ** 2)
                if y + 1 < rows:
                    rough += min(one, ((w_map[y + 1, x] - (tw + twy)) * scale) ** 2)
                rough *= np.float32(0.25) * smoothness
                if trial == 0 and turn > 0:
                    lowest = photo + rough
                    continue
                if rough >= lowest:
                    continue
                # 1 - NCC of each neighbour, and the mean without the worst of them. No more are
                # asked once that cannot be the best any more.
                total, worst = np.float32(0), np.float32(0)
                enough = (lowest - rough) * np.float32(best)
                asked = views if trial == 0 else kept
                for k in range(asked):
                    view = k if trial == 0 else order[k]
                    g = geometry[view]
                    value = np.float32(WORST)
                    depth = g[8] * fx + g[9] * fy + g[10] + g[11] * tw
                    inverse = one / max(depth, np.float32(1e-6))
                    u = (g[0] * fx + g[1] * fy + g[2] + g[3] * tw) * inverse
                    v = (g[4] * fx + g[5] * fy + g[6] + g[7] * tw) * inverse
                    dzx, dzy = g[8] + g[11] * twx, g[9] + g[11] * twy
                    ux = (g[0] + g[3] * twx - u * dzx) * inverse
                    uy = (g[1] + g[3] * twy - u * dzy) * inverse
                    vx = (g[4] + g[7] * twx - v * dzx) * inverse
                    vy = (g[5] + g[7] * twy - v * dzy) * inverse
                    du = reach * (abs(ux) + abs(uy)) + np.float32(MARGIN_PX)
                    dv = reach * (abs(vx) + abs(vy)) + np.float32(MARGIN_PX)
                    if (
                        depth > np.float32(1e-6)
                        and u >= du
                        and v >= dv
                        and u + du < sizes[view, 1]
                        and v + dv < sizes[view, 0]
                    ):
                        sum_b, sum_bb, sum_ab = np.float32(0), np.float32(0), np.float32(0)
                        start = starts[view]
                        for i in range(SAMPLES):
                            across = np.int32(u + ux * SAMPLE_DX[i] + uy * SAMPLE_DY[i])
                            down = np.int32(v + vx * SAMPLE_DX[i] + vy * SAMPLE_DY[i])
                            b = grays[np.uint32(start + down * stride + across)]
                            wb = weight[i] * b
                            sum_b += wb
                            sum_bb += wb * b
                            sum_ab += centred[i] * b
                        other = max(sum_bb - sum_b * sum_b, np.float32(0)) + noise
                        value = one - sum_ab / math.sqrt(variance * other)
                    if trial == 0:
                        place = k
                        while place > 0 and scratch[place - 1] > value:
                            scratch[place], order[place] = scratch[place - 1], order[place - 1]
                            place -= 1
                        scratch[place], order[place] = value, k
                    total += value
                    if asked > best:
                        worst = max(worst, value)
                    if trial > 0 and total - worst >= enough:
                        break
                value = (total - worst) * share
                if trial == 0:
                    value = np.float32(0)
                    for k in range(best):
                        value += scratch[k]
                    value *= share
                    for k in range(kept):
                        order_map[y, x, k] = order[k]
                if value + rough < lowest:
                    lowest, photo = value + rough, value
                    w, wx, wy = tw, twx, twy
            w_map[y, x], wx_map[y, x], wy_map[y, x] = w, wx, wy
            cost_map[y, x] = photo
