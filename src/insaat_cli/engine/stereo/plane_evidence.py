"""What photos say of a piece of a view lying on a plane: alike, measured, seen through, hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.agreement import intrinsics_of
from insaat_cli.engine.stereo.view_planes import rays_of

Map = npt.NDArray[np.float32]
SKY = np.float32(1e30)
"""Depth of sky."""
SAMPLES = 12
"""Pixels of a piece that are asked."""
LARGEST_DIFFERENCE = 24.0
"""Gray levels from which on pixels are simply different."""
LEAST_SPREAD = 5.0
"""Gray levels between the darker and the brighter quarter of a piece: with less it has no texture
to compare. The edge of something else in it does not count as texture: it would hold its own
plane, and spread that over what is behind."""
ENOUGH_COMPARED = 0.75
"""Of a piece's samples, what another photo must show for its texture to be compared."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of one view: its photo, and depth that is reliable (0: none, SKY)."""

    view: View
    gray: npt.NDArray[np.uint8]
    reliable: Map


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Of S pieces on K planes, (S, K) each; shares of a piece's samples."""

    on: Map
    """Its own reliable depth is on the plane."""
    off: Map
    """Its own reliable depth is off the plane."""
    confirmed: Map
    """Another view's reliable depth is on the plane."""
    pierced: Map
    """Another view looks through the plane there, and none confirms it."""
    unlike: Map
    """Mean difference of the most alike photos: 0 to 1."""
    alike: Map
    """Mean correlation of the most alike photos, -1 to 1; 0 where there is no texture."""

    def joined(self, more: Evidence) -> Evidence:
        """The same of more planes."""
        return Evidence(
            **{
                one.name: np.concatenate([getattr(self, one.name), getattr(more, one.name)], axis=1)
                for one in fields(self)
            }
        )


@dataclass(frozen=True, kw_only=True)
class Witnesses:
    """Other views, ready to be asked by one."""

    grays: npt.NDArray[np.uint8]
    depths: Map
    sizes: npt.NDArray[np.int64]
    to_other: Map
    K: Map


def call_witnesses(own: View, others: Sequence[Seen]) -> Witnesses:
    """The `others` in arrays, (V, rows, columns) padded to the largest, relative to `own`."""
    rows = max(one.gray.shape[0] for one in others)
    columns = max(one.gray.shape[1] for one in others)
    grays = np.zeros((len(others), rows, columns), np.uint8)
    depths = np.zeros((len(others), rows, columns), np.float32)
    to_other = np.empty((len(others), 3, 4), np.float32)
    for index, one in enumerate(others):
        height, width = one.gray.shape
        grays[index, :height, :width] = one.gray
        depths[index, :height, :width] = one.reliable
        rotation = one.view.R @ own.R.T
        to_other[index, :, :3] = rotation
        to_other[index, :, 3] = one.view.t - rotation @ own.t
    return Witnesses(
        grays=grays,
        depths=depths,
        sizes=np.array([one.gray.shape for one in others], np.int64),
        to_other=to_other,
        K=np.array([intrinsics_of(one.view) for one in others], np.float32),
    )


def samples_of(labels: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int32]:
    """(count, SAMPLES): pixels of every piece as row * columns + column; -1 where it has fewer."""
    samples = np.full((count, SAMPLES), -1, np.int32)
    _spread_samples(labels, samples)
    return samples


def gather(
    own: Seen,
    samples: npt.NDArray[np.int32],
    planes: Floats,
    witnesses: Witnesses,
    tolerance: float,
    asked: npt.NDArray[np.bool_] | None = None,
) -> Evidence:
    """Ask other views about pieces of `own`, told by their samples, on every plane.

    Of pieces that are not `asked` about, only what is on and off their own depth is told.
    """
    x, y = rays_of(own.view)
    result = np.zeros((6, len(samples), len(planes)), np.float32)
    _ask(
        samples, own.gray, own.reliable, x, y, planes.astype(np.float32), witnesses.grays,
        witnesses.depths, witnesses.sizes, witnesses.to_other, witnesses.K, np.float32(tolerance),
        np.ones(len(samples), bool) if asked is None else asked, result,
    )  # fmt: skip
    on, off, confirmed, pierced, unlike, alike = result
    return Evidence(
        on=on, off=off, confirmed=confirmed, pierced=pierced, unlike=unlike, alike=alike
    )


@njit(nogil=True, cache=True)
def _spread_samples(labels, samples):  # type: ignore[no-untyped-def]
    """Pixels of every piece, evenly over its rows: every n-th, as many as there is room for."""
    rows, columns = labels.shape
    size = np.zeros(len(samples), np.int32)
    for v in range(rows):
        for u in range(columns):
            size[labels[v, u]] += 1
    seen = np.zeros(len(samples), np.int32)
    room = samples.shape[1]
    for v in range(rows):
        for u in range(columns):
            s = labels[v, u]
            place = seen[s] * room // max(size[s], 1)
            # the middle pixel of each of `room` equal runs
            if samples[s, place] < 0 and (2 * seen[s] + 1) * room >= (2 * place + 1) * size[s]:
                samples[s, place] = v * columns + u
            seen[s] += 1


@njit(nogil=True, cache=True, fastmath=True)
def _ask(  # type: ignore[no-untyped-def]  # noqa: C901 - one loop, kept in one piece for speed
    samples, gray, own, x, y, planes, grays, depths, sizes, to_other, K, tolerance, ask, result
):
    columns = gray.shape[1]
    most = len(grays)
    difference = np.empty(most, np.float32)
    mine = np.empty((most, SAMPLES), np.float32)
    theirs = np.empty((most, SAMPLES), np.float32)
    compared = np.empty(most, np.int64)
    for s in range(len(samples)):
        textured = ask[s] and _spread(samples[s], gray) >= LEAST_SPREAD
        views = len(grays) if ask[s] else 0
        for p in range(len(planes)):
            on, off, confirmed, pierced, asked = 0, 0, 0, 0, 0
            compared[:] = 0
            for k in range(SAMPLES):
                if samples[s, k] < 0:
                    continue
                asked += 1
                v, u = samples[s, k] // columns, samples[s, k] % columns
                w = planes[p, 0] * x[u] + planes[p, 1] * y[v] + planes[p, 2]
                if w <= np.float32(1e-9):
                    pierced += 1
                    continue
                z = np.float32(1) / w
                if own[v, u] > 0:
                    if abs(own[v, u] * w - 1) < tolerance:
                        on += 1
                    elif abs(own[v, u] * w - 1) > np.float32(1.5) * tolerance:
                        off += 1
                agrees, through = 0, 0
                for j in range(views):
                    T = to_other[j]
                    zj = z * (T[2, 0] * x[u] + T[2, 1] * y[v] + T[2, 2]) + T[2, 3]
                    if zj <= 0:
                        continue
                    xj = z * (T[0, 0] * x[u] + T[0, 1] * y[v] + T[0, 2]) + T[0, 3]
                    yj = z * (T[1, 0] * x[u] + T[1, 1] * y[v] + T[1, 2]) + T[1, 3]
                    a = int(K[j, 0] * xj / zj + K[j, 2] + np.float32(0.5))
                    b = int(K[j, 1] * yj / zj + K[j, 3] + np.float32(0.5))
                    if a < 0 or b < 0 or a >= sizes[j, 1] or b >= sizes[j, 0]:
                        continue
                    seen = depths[j, b, a]
                    if seen > 0:
                        relative = (seen - zj) / zj
                        if abs(relative) < tolerance:
                            agrees += 1
                        elif relative > np.float32(3) * tolerance:
                            through += 1
                        elif relative < np.float32(-3) * tolerance:
                            continue
                    n = compared[j]
                    mine[j, n], theirs[j, n] = np.float32(gray[v, u]), np.float32(grays[j, b, a])
                    compared[j] = n + 1
                if agrees > through:
                    confirmed += 1
                elif through > 0:
                    pierced += 1
            if asked == 0:
                continue
            share = np.float32(1.0 / asked)
            result[0, s, p], result[1, s, p] = on * share, off * share
            result[2, s, p], result[3, s, p] = confirmed * share, pierced * share
            if not ask[s]:
                continue
            result[4, s, p] = _unlike(mine, theirs, compared, asked, difference)
            if textured:
                result[5, s, p] = _alike(mine, theirs, compared, asked)


@njit(nogil=True, cache=True)
def _spread(samples, gray):  # type: ignore[no-untyped-def]
    """Gray levels between the first and the third quarter of a piece's samples."""
    columns = gray.shape[1]
    values = np.empty(len(samples), np.float32)
    count = 0
    for k in range(len(samples)):
        if samples[k] >= 0:
            values[count] = gray[samples[k] // columns, samples[k] % columns]
            count += 1
    if count < 4:
        return np.float32(0)
    values[:count].sort()
    return values[3 * count // 4] - values[count // 4]


@njit(nogil=True, cache=True, fastmath=True)
def _unlike(mine, theirs, compared, asked, difference):  # type: ignore[no-untyped-def]
    """Mean over the two most alike photos, their mean brightness mostly left out."""
    found = 0
    for j in range(len(compared)):
        n = compared[j]
        if 2 * n < asked:
            continue
        shift = np.float32(0)
        for k in range(n):
            shift += theirs[j, k] - mine[j, k]
        shift /= np.float32(n)
        total = np.float32(0)
        for k in range(n):
            total += min(
                abs(theirs[j, k] - mine[j, k] - shift) + np.float32(0.25) * abs(shift),
                np.float32(LARGEST_DIFFERENCE),
            )
        value = total / np.float32(n * LARGEST_DIFFERENCE)
        place = found
        while place > 0 and difference[place - 1] > value:
            difference[place] = difference[place - 1]
            place -= 1
        difference[place] = value
        found += 1
    if found == 0:
        return np.float32(0.5)
    if found == 1:
        return difference[0]
    return np.float32(0.5) * (difference[0] + difference[1])


@njit(nogil=True, cache=True, fastmath=True)
def _alike(mine, theirs, compared, asked):  # type: ignore[no-untyped-def]
    """Mean correlation with the two most alike photos; 0 if less than two can be compared."""
    first, second, found = np.float32(-1), np.float32(-1), 0
    for j in range(len(compared)):
        n = compared[j]
        if n < 4 or n < ENOUGH_COMPARED * asked:
            continue
        mean, other = np.float32(0), np.float32(0)
        for k in range(n):
            mean += mine[j, k]
            other += theirs[j, k]
        mean /= np.float32(n)
        other /= np.float32(n)
        own, others, both = np.float32(0), np.float32(0), np.float32(0)
        for k in range(n):
            own += (mine[j, k] - mean) ** 2
            others += (theirs[j, k] - other) ** 2
            both += (mine[j, k] - mean) * (theirs[j, k] - other)
        value = both / np.sqrt(own * others + np.float32(1))
        found += 1
        if value > first:
            first, second = value, first
        elif value > second:
            second = value
    if found < 2:
        return np.float32(0)
    return np.float32(0.5) * (first + second)
