"""Slanted-plane depth refinement: PatchMatch over inverse-depth planes, from a given start.

After Bleyer et al. 2011 (PatchMatch stereo), Schoenberger et al. 2016 (bilaterally weighted NCC)
and Shen 2013 (sequential sweeps). A pixel's plane is its inverse depth w and the gradient (wx, wy)
of w over the image: inverse depth is linear on a plane, so a neighbour's plane extends by
`w + wx dx + wy dy`, and no normal is needed until the end.

Kernels hold no lock and run on one thread: views are refined in parallel, so a result does not
depend on how many threads there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.views import Floats, View

Map = npt.NDArray[np.float32]

OVERSAMPLING = 2
"""Neighbour photos are enlarged this much, so that the nearest sample is near enough."""
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
STEEPEST = 6.0
"""Largest slope of a plane: tangent of the angle to the image plane."""


@dataclass(frozen=True, kw_only=True)
class Planes:
    """Plane and cost of every pixel, (height, width) each."""

    w: Map
    """Inverse depth."""
    wx: Map
    wy: Map
    cost: Map
    """0 (neighbour photos look the same) to 1.5 (they do not)."""

    def copy(self) -> Planes:
        return Planes(w=self.w.copy(), wx=self.wx.copy(), wy=self.wy.copy(), cost=self.cost.copy())


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The photos to compare with, ready for sampling."""

    grays: npt.NDArray[np.uint8]
    """(V, rows, columns), enlarged `OVERSAMPLING` times, padded to the largest."""
    sizes: npt.NDArray[np.int32]
    """(V, 2) rows and columns that hold a photo."""
    M: Map
    """(V, 3, 3): enlarged neighbour pixel ~ M (u, v, 1) + T w."""
    T: Map
    """(V, 3)."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How hard to search."""

    sweeps: int = 2
    best_views: int = 2
    """The cost is the mean over this many best neighbours: others may be hidden."""
    depth_step: float = 0.02
    """Largest relative change tried in the first sweep; halved after each."""
    slope_step: float = 0.4
    smoothness: float = 0.05
    random_trials: int = 4
    least_contrast: float = 0.8
    """Patches with a variance below this share of the noise's are left alone."""
    colour_sigma: float = 16.0
    seed: int = 1


def relate(reference: View, others: list[View], grays: list[npt.NDArray[np.uint8]]) -> Neighbours:
    """Put neighbour photos (enlarged) and their geometry relative to `reference` into arrays."""
    rows = max(gray.shape[0] for gray in grays)
    columns = max(gray.shape[1] for gray in grays)
    stack = np.zeros((len(grays), rows, columns), np.uint8)
    sizes = np.array([gray.shape for gray in grays], np.int32)
    M, T = np.empty((len(grays), 3, 3)), np.empty((len(grays), 3))
    for index, (view, gray) in enumerate(zip(others, grays, strict=True)):
        stack[index, : gray.shape[0], : gray.shape[1]] = gray
        K = view.resized(gray.shape[1], gray.shape[0]).K
        K[:2, 2] += 0.5  # so that cutting off the fraction rounds to the nearest sample
        R = view.R @ reference.R.T
        M[index] = K @ R @ np.linalg.inv(reference.K)
        T[index] = K @ (view.t - R @ reference.t)
    return Neighbours(grays=stack, sizes=sizes, M=M.astype(np.float32), T=T.astype(np.float32))


def start_planes(w: Map) -> Planes:
    """Planes from a complete inverse-depth map: gradients by central differences."""
    wy, wx = np.gradient(w)
    return Planes(
        w=w.astype(np.float32),
        wx=wx.astype(np.float32),
        wy=wy.astype(np.float32),
        cost=np.full(w.shape, WORST, np.float32),
    )


def enlarge(planes: Planes, width: int, height: int) -> Planes:
    """The same planes for an image of `width` x `height`: every pixel takes its nearest plane."""
    rows, columns = planes.w.shape
    sx, sy = columns / width, rows / height
    u = (np.arange(width) + 0.5) * sx - 0.5
    v = (np.arange(height) + 0.5) * sy - 0.5
    i = np.clip(np.rint(v), 0, rows - 1).astype(np.int64)
    j = np.clip(np.rint(u), 0, columns - 1).astype(np.int64)
    pick = np.ix_(i, j)
    dx, dy = (u - j)[None].astype(np.float32), (v - i)[:, None].astype(np.float32)
    w = planes.w[pick] + planes.wx[pick] * dx + planes.wy[pick] * dy
    return Planes(
        w=np.maximum(w, np.float32(1e-12)).astype(np.float32),
        wx=(planes.wx[pick] * np.float32(sx)),
        wy=(planes.wy[pick] * np.float32(sy)),
        cost=np.full((height, width), WORST, np.float32),
    )


def refine(
    planes: Planes,
    gray: npt.NDArray[np.uint8],
    focal_px: float,
    neighbours: Neighbours,
    inverse_depths: tuple[float, float],
    search: Search,
) -> Planes:
    """Improve `planes` of the photo `gray` against its neighbours; the input is left unchanged.

    `inverse_depths` are the smallest and the largest allowed.
    """
    result = planes.copy()
    weights = np.exp(-np.arange(256, dtype=np.float32) / np.float32(search.colour_sigma))
    reference = np.pad(gray, RADIUS, mode="edge")
    for sweep in range(search.sweeps):
        _sweep(
            reference,
            result.w,
            result.wx,
            result.wy,
            result.cost,
            neighbours.grays.reshape(-1),
            np.int32(neighbours.grays.shape[2]),
            neighbours.sizes,
            neighbours.M,
            neighbours.T,
            weights,
            np.float32(focal_px),
            np.float32(inverse_depths[0]),
            np.float32(inverse_depths[1]),
            min(search.best_views, len(neighbours.M)),
            np.float32(search.depth_step * 0.5**sweep),
            np.float32(search.slope_step * 0.5**sweep),
            np.float32(search.smoothness),
            3 + search.random_trials,
            np.float32(search.least_contrast * NOISE_VARIANCE),
            sweep % 2 == 1,
            np.uint32(search.seed * 7919 + sweep),
        )
    return result


def normals_of(planes: Planes, K: Floats) -> Map:
    """Unit normals in the camera frame, towards the camera, (height, width, 3)."""
    rows, columns = planes.w.shape
    u = np.arange(columns, dtype=np.float32)[None]
    v = np.arange(rows, dtype=np.float32)[:, None]
    fx, fy, cx, cy = (np.float32(x) for x in (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
    normal = np.empty((rows, columns, 3), np.float32)
    normal[..., 0] = -fx * planes.wx
    normal[..., 1] = -fy * planes.wy
    normal[..., 2] = -(planes.w + planes.wx * (cx - u) + planes.wy * (cy - v))
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), np.float32(1e-20))
    return normal


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
    du, dv = reach * (abs(ux) + abs(uy)), reach * (abs(vx) + abs(vy))
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
    scale = np.float32(200) / w
    one = np.float32(1)
    if x > 0:
        total += min(one, abs(w_map[y, x - 1] - (w - wx)) * scale)
    if x + 1 < columns:
        total += min(one, abs(w_map[y, x + 1] - (w + wx)) * scale)
    if y > 0:
        total += min(one, abs(w_map[y - 1, x] - (w - wy)) * scale)
    if y + 1 < rows:
        total += min(one, abs(w_map[y + 1, x] - (w + wy)) * scale)
    return total * np.float32(0.25)


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _sweep(  # type: ignore[no-untyped-def]
    reference, w_map, wx_map, wy_map, cost_map, grays, stride, sizes, M, T, weights, focal,
    w_low, w_high, best, depth_step, slope_step, smoothness, trials, least_variance, backward, seed,
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
            if variance < least_variance:
                cost_map[y, x] = np.float32(WORST)
                continue
            state = np.uint32(seed * np.uint32(2654435761)) ^ np.uint32(y * columns + x + 1)
            state = _random(_random(state | np.uint32(1)))
            w, wx, wy = w_map[y, x], wx_map[y, x], wy_map[y, x]
            lowest = np.float32(1e9)
            photo = np.float32(WORST)
            for trial in range(trials):
                tw, twx, twy = w, wx, wy
                if trial == 1 or trial == 2:
                    ny = y if trial == 1 else before_y
                    nx = before_x if trial == 1 else x
                    if nx < 0 or ny < 0 or nx >= columns or ny >= rows:
                        continue
                    twx, twy = wx_map[ny, nx], wy_map[ny, nx]
                    tw = w_map[ny, nx] + twx * np.float32(x - nx) + twy * np.float32(y - ny)
                elif trial >= 3:
                    state = _random(state)
                    shrink = np.float32(1) if trial < 5 else np.float32(0.25)
                    if trial != 4:
                        tw = w * (np.float32(1) + shrink * depth_step * _signed(state))
                    if trial != 3:
                        slope = shrink * slope_step * w / focal
                        state = _random(state)
                        twx = wx + slope * _signed(state)
                        state = _random(state)
                        twy = wy + slope * _signed(state)
                if trial == 0:
                    tw = min(max(tw, w_low), w_high)
                if not (tw >= w_low and tw <= w_high):
                    continue
                limit = np.float32(STEEPEST) * tw / focal
                if twx * twx + twy * twy > limit * limit:
                    if trial > 0:
                        continue
                    twx, twy = np.float32(0), np.float32(0)
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
