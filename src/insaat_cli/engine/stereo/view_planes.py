"""The planes that a view's reliable depth lies on.

A plane is written as the vector p with p . X = 1 for its points X in the camera frame, (n, d) with
p = n / d: the inverse depth along the ray (x, y, 1) is then p . (x, y, 1), linear in the pixel.
Planes are found one after the other by sampling triples of pieces that are near each other (RANSAC,
Fischler and Bolles 1981, with the MSAC score of Torr and Zisserman 2000), and upright and level
ones by fewer (gravity is known), as walls, floors and tables are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.agreement import intrinsics_of

Map = npt.NDArray[np.float32]
MOMENTS = 10
"""Sums over a piece's reliable pixels: 1, xx, xy, yy, x, y, wx, wy, w, ww."""
NEARLY = 0.06
"""Radians off the upright, or off level, up to which a plane may be meant to be so."""
GOOD_ENOUGH = 0.9
"""Share of its score that an exactly upright or level plane must keep."""
ALIKE_SHARE = 0.65
"""Of where a view shows either of two planes, where they must be alike to count as one."""
UP = np.array([0.0, 1.0, 0.0])
"""Of the world, from `sparse` on."""


@dataclass(frozen=True, kw_only=True)
class PlaneSearch:
    """How planes are sought in one view."""

    tolerance: float = 0.006
    """How far a piece may be off its plane, as a share of its depth."""
    most: int = 24
    trials: int = 500
    reach: tuple[float, float, float] = (0.04, 0.12, 0.35)
    """How far apart the pieces of a triple are, in image widths: planes small, middling, large."""
    min_pieces: float = 5.0
    """Whole pieces of reliable pixels that a plane needs."""
    min_share: float = 0.25
    """Of a piece's pixels, those that must be reliable for it to say where a plane is."""
    seed: int = 1


def rays_of(view: View) -> tuple[Map, Map]:
    """x of every column and y of every row on the image plane at depth 1."""
    fx, fy, cx, cy = intrinsics_of(view)
    x = ((np.arange(view.width) - cx) / fx).astype(np.float32)
    y = ((np.arange(view.height) - cy) / fy).astype(np.float32)
    return x, y


def rays_through(view: View, pixels: Map) -> Floats:
    """(N, 3): (x, y, 1) through N pixels (column, row)."""
    fx, fy, cx, cy = intrinsics_of(view)
    return np.column_stack(
        [(pixels[:, 0] - cx) / fx, (pixels[:, 1] - cy) / fy, np.ones(len(pixels))]
    )


def find_planes(
    view: View, labels: npt.NDArray[np.int32], area: Map, reliable: Map, search: PlaneSearch
) -> Floats:
    """(K, 3): planes of `view`, the one with most pixels first.

    `reliable` is depth, 0 where it is not; `labels` and `area` tell its pieces.
    """
    x, y = rays_of(view)
    moments = np.zeros((len(area), MOMENTS))
    _sum_moments(labels, reliable, x, y, moments)
    telling = np.flatnonzero(moments[:, 0] >= np.maximum(search.min_share * area, 8))
    if len(telling) < search.min_pieces:
        return np.empty((0, 3))
    planes = np.empty((search.most, 3))
    typical = float(np.median(area))
    found = _search(
        moments[telling],
        view.R @ UP,
        float(x[-1] - x[0]) * np.array(search.reach),
        search.tolerance,
        search.trials,
        search.min_pieces * typical,
        search.seed,
        planes,
    )
    return planes[:found]


@njit(nogil=True, cache=True)
def _sum_moments(labels, depth, x, y, moments):  # type: ignore[no-untyped-def]
    for v in range(labels.shape[0]):
        for u in range(labels.shape[1]):
            if depth[v, u] <= 0:
                continue
            w = 1.0 / depth[v, u]
            m = moments[labels[v, u]]
            rx, ry = np.float64(x[u]), np.float64(y[v])
            m[0] += 1
            m[1] += rx * rx
            m[2] += rx * ry
            m[3] += ry * ry
            m[4] += rx
            m[5] += ry
            m[6] += w * rx
            m[7] += w * ry
            m[8] += w
            m[9] += w * w


@njit(nogil=True, cache=True)
def _solve(m, plane):  # type: ignore[no-untyped-def]
    """Least squares of w over (x, y, 1) from summed moments; False where it is not determined."""
    count = m[0]
    mx, my, mw = m[4] / count, m[5] / count, m[8] / count
    sxx, sxy, syy = m[1] / count - mx * mx, m[2] / count - mx * my, m[3] / count - my * my
    swx, swy = m[6] / count - mw * mx, m[7] / count - mw * my
    determinant = sxx * syy - sxy * sxy
    if determinant <= 1e-6 * (sxx + syy) ** 2:
        return False
    plane[0] = (swx * syy - swy * sxy) / determinant
    plane[1] = (swy * sxx - swx * sxy) / determinant
    plane[2] = mw - plane[0] * mx - plane[1] * my
    return True


@njit(nogil=True, cache=True)
def _through(a, b, c, plane):  # type: ignore[no-untyped-def]
    """The plane through three (x, y, w); False where they lie on a line."""
    ux, uy, uw = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vw = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    determinant = ux * vy - uy * vx
    if abs(determinant) < 1e-3 * ((ux * ux + uy * uy) + (vx * vx + vy * vy)):
        return False
    plane[0] = (uw * vy - vw * uy) / determinant
    plane[1] = (vw * ux - uw * vx) / determinant
    plane[2] = a[2] - plane[0] * a[0] - plane[1] * a[1]
    return True


@njit(nogil=True, cache=True)
def _level(a, up, plane):  # type: ignore[no-untyped-def]
    """The level plane through (x, y, w)."""
    height = (up[0] * a[0] + up[1] * a[1] + up[2]) / a[2]
    if abs(height) * a[2] < 0.02:
        return False
    for k in range(3):
        plane[k] = up[k] / height
    return True


@njit(nogil=True, cache=True)
def _upright(a, b, up, plane):  # type: ignore[no-untyped-def]
    """The upright plane through two (x, y, w)."""
    ax, ay, az = a[0] / a[2], a[1] / a[2], 1 / a[2]
    dx, dy, dz = b[0] / b[2] - ax, b[1] / b[2] - ay, 1 / b[2] - az
    nx, ny, nz = up[1] * dz - up[2] * dy, up[2] * dx - up[0] * dz, up[0] * dy - up[1] * dx
    size = (nx * nx + ny * ny + nz * nz) ** 0.5
    along = (dx * dx + dy * dy + dz * dz) ** 0.5
    if size < 0.3 * along or size == 0:
        return False
    offset = nx * ax + ny * ay + nz * az
    if abs(offset) < 0.02 * size * az:
        return False
    plane[0], plane[1], plane[2] = nx / offset, ny / offset, nz / offset
    return True


@njit(nogil=True, cache=True)
def _score(plane, means, weights, tolerance):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(means)):
        w = means[i, 2]
        off = (plane[0] * means[i, 0] + plane[1] * means[i, 1] + plane[2] - w) / (w * tolerance)
        if off * off < 1:
            total += weights[i] * (1 - off * off)
    return total


@njit(nogil=True, cache=True)
def _refit(plane, moments, means, weights, tolerance):  # type: ignore[no-untyped-def]
    total = np.zeros(MOMENTS)
    for _ in range(2):
        total[:] = 0
        for i in range(len(means)):
            w = means[i, 2]
            off = (plane[0] * means[i, 0] + plane[1] * means[i, 1] + plane[2] - w) / (w * tolerance)
            if weights[i] > 0 and off * off < 1:
                total += moments[i] * (1 - off * off)
        if total[0] <= 0 or not _solve(total, plane):
            return


@njit(nogil=True, cache=True)
def _search(  # type: ignore[no-untyped-def]  # noqa: C901 - one loop, kept in one piece for speed
    moments, up, reaches, tolerance, trials, least, seed, planes
):
    """Fill `planes`; return how many there are. What lies on one found counts no more."""
    count = len(moments)
    np.random.seed(seed)
    means = np.empty((count, 3))
    for i in range(count):
        means[i, 0] = moments[i, 4] / moments[i, 0]
        means[i, 1] = moments[i, 5] / moments[i, 0]
        means[i, 2] = moments[i, 8] / moments[i, 0]
    weights = moments[:, 0].copy()
    tried = np.empty((trials, 3))
    tries = 0
    for trial in range(trials):
        reach = reaches[trial % len(reaches)]
        a = np.random.randint(count)
        kind = trial // len(reaches) % 4
        if kind == 0:
            ok = _level(means[a], up, tried[tries])
        else:
            b = _near(means, a, reach)
            if kind == 1:
                ok = b >= 0 and _upright(means[a], means[b], up, tried[tries])
            else:
                c = _near(means, a, reach)
                ok = b >= 0 and c >= 0 and _through(means[a], means[b], means[c], tried[tries])
        if ok:
            tries += 1
    found = 0
    plane = np.empty(3)
    while found < len(planes) and tries:
        best, best_score = -1, least * 0.5
        for trial in range(tries):
            score = _score(tried[trial], means, weights, tolerance)
            if score > best_score:
                best, best_score = trial, score
        if best < 0:
            break
        plane[:] = tried[best]
        _refit(plane, moments, means, weights, tolerance)
        if _score(plane, means, weights, tolerance) < best_score:
            plane[:] = tried[best]
        _straighten(plane, up, means, weights, tolerance)
        on = 0.0
        for i in range(count):
            w = means[i, 2]
            off = (plane[0] * means[i, 0] + plane[1] * means[i, 1] + plane[2] - w) / (w * tolerance)
            if off * off < 1:
                on += weights[i]
                weights[i] = 0
        if on >= least:
            planes[found] = plane
            found += 1
    return found


@njit(nogil=True, cache=True)
def _straighten(plane, up, means, weights, tolerance):  # type: ignore[no-untyped-def]
    """Make a plane that is nearly upright or level exactly so, if it fits nearly as well."""
    size = (plane[0] ** 2 + plane[1] ** 2 + plane[2] ** 2) ** 0.5
    rise = (plane[0] * up[0] + plane[1] * up[1] + plane[2] * up[2]) / size
    straight = np.empty(3)
    if abs(rise) < NEARLY:
        for k in range(3):
            straight[k] = plane[k] / size - rise * up[k]
    elif abs(rise) > 1 - 0.5 * NEARLY * NEARLY:
        straight[:] = up
    else:
        return
    offset, total = 0.0, 0.0
    for i in range(len(means)):
        w = means[i, 2]
        off = (plane[0] * means[i, 0] + plane[1] * means[i, 1] + plane[2] - w) / (w * tolerance)
        if weights[i] > 0 and off * off < 1:
            along = straight[0] * means[i, 0] + straight[1] * means[i, 1] + straight[2]
            offset += weights[i] * along / w
            total += weights[i]
    if total == 0 or offset == 0:
        return
    straight *= total / offset
    if _score(straight, means, weights, tolerance) >= GOOD_ENOUGH * _score(
        plane, means, weights, tolerance
    ):
        plane[:] = straight


@njit(nogil=True, cache=True)
def _near(means, a, reach):  # type: ignore[no-untyped-def]
    """A piece within `reach` of piece `a`, -1 if chance finds none."""
    for _ in range(60):
        b = np.random.randint(len(means))
        if (
            b != a
            and abs(means[b, 0] - means[a, 0]) < reach
            and abs(means[b, 1] - means[a, 1]) < reach
        ):
            return b
    return -1


def moved_planes(planes: Floats, source: View, target: View) -> Floats:
    """Planes of `source`'s frame in `target`'s; those through its centre left out."""
    rotation = target.R @ source.R.T
    shift = target.t - rotation @ source.t
    turned = planes @ rotation.T
    scale = 1 + turned @ shift
    good = np.abs(scale) > 0.02 * np.linalg.norm(planes, axis=1) * np.linalg.norm(shift)
    return np.asarray(turned[good] / scale[good, None])


def without_doubles(planes: Floats, view: View, tolerance: float, most: int) -> Floats:
    """The first of those that are nearly the same plane wherever the view shows them."""
    fx, fy, cx, cy = intrinsics_of(view)
    u, v = np.meshgrid(np.linspace(0, view.width, 9), np.linspace(0, view.height, 7))
    rays = np.column_stack([((u - cx) / fx).ravel(), ((v - cy) / fy).ravel(), np.ones(u.size)])
    values = (planes @ rays.T).astype(np.float32)
    kept: list[int] = []
    for index, value in enumerate(values):
        if len(kept) == most:
            break
        before = values[kept]
        size = np.maximum(np.abs(value), np.abs(before))
        seen = (value > 0) | (before > 0)
        same = (np.abs(value - before) < tolerance * size) & seen
        if (value > 0).any() and not (same.sum(axis=1) >= ALIKE_SHARE * seen.sum(axis=1)).any():
            kept.append(index)
    return planes[kept]
