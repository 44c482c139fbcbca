"""Which depths of a view its neighbours confirm.

A depth is believed where enough neighbour views measured the same place (after Merrell et al. 2007:
support against free-space violations).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap

Map = npt.NDArray[np.float32]


CLOSE = 0.2
"""Of the relative depth at which views agree. What few views confirm, they confirm more closely:
two wrong depths that agree by chance seldom do."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """When two views count as seeing the same place."""

    views: int = 2
    """Other views that must agree."""
    uncontested_views: int = 2
    """So many are enough where no view contradicts and theirs is `CLOSE` to the depth."""
    reprojection_px: float = 1.5
    relative_depth: float = 0.01
    normal_cosine: float = 0.5


def agreed_depth(
    view: View,
    depth_map: DepthMap,
    others: Sequence[View],
    other_maps: Sequence[DepthMap],
    rule: Agreement,
) -> tuple[Map, npt.NDArray[np.uint8]]:
    """Depth of `view` averaged with the neighbours that agree, 0 where too few do, and how many.

    What a neighbour completed contradicts nothing that was measured.
    """
    shape = depth_map.depth.shape
    agreeing, against = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    ratios = np.zeros(shape, np.float32)
    K = intrinsics_of(view).astype(np.float32)
    for other, one in zip(others, other_maps, strict=True):
        rotation = other.R @ view.R.T
        shift = other.t - rotation @ view.t
        _ask(
            depth_map.depth, depth_map.normals, completed_pixels(depth_map), K,
            one.depth, one.normals, completed_pixels(one),
            np.column_stack([rotation, shift]).astype(np.float32),
            intrinsics_of(other).astype(np.float32),
            np.float32(rule.reprojection_px), np.float32(rule.relative_depth),
            np.float32(rule.normal_cosine), agreeing, against, ratios,
        )  # fmt: skip
    believed = (agreeing >= rule.views) & (agreeing > against)
    close = np.abs(ratios - agreeing) <= np.float32(CLOSE * rule.relative_depth) * agreeing
    believed |= (agreeing >= rule.uncontested_views) & (against == 0) & close
    mean = depth_map.depth * (1 + ratios) / (1 + agreeing.astype(np.float32))
    return np.where(believed, mean, np.float32(0)), np.where(believed, agreeing, np.uint8(0))


def completed_pixels(depth_map: DepthMap) -> npt.NDArray[np.bool_]:
    """(height, width): which depths were completed, not measured."""
    completed = depth_map.completed
    return np.zeros(depth_map.depth.shape, bool) if completed is None else completed


def intrinsics_of(view: View) -> Floats:
    """Focal lengths and principal point, (fx, fy, cx, cy)."""
    return np.array([view.K[0, 0], view.K[1, 1], view.K[0, 2], view.K[1, 2]])


@njit(nogil=True, cache=True, fastmath=True)
def _ask(  # type: ignore[no-untyped-def]  # noqa: C901 - one loop, kept in one piece for speed
    depth, normals, completed, K, other_depth, other_normals, other_completed, to_other, other_K,
    reprojection_px, relative_depth, normal_cosine, agreeing, against, ratios,
):  # fmt: skip
    """Add what one neighbour says of every depth: how many agree, how many contradict, and the sum
    of what those that agree measured, relative to the depth.

    One function with plain numbers: numba counts references to arrays that it hands on.
    """
    fx, fy, cx, cy = K[0], K[1], K[2], K[3]
    other_fx, other_fy, other_cx, other_cy = other_K[0], other_K[1], other_K[2], other_K[3]
    xx, xy, xz, tx = to_other[0, 0], to_other[0, 1], to_other[0, 2], to_other[0, 3]
    yx, yy, yz, ty = to_other[1, 0], to_other[1, 1], to_other[1, 2], to_other[1, 3]
    zx, zy, zz, tz = to_other[2, 0], to_other[2, 1], to_other[2, 2], to_other[2, 3]
    rows, columns = depth.shape
    other_rows, other_columns = other_depth.shape
    one, half = np.float32(1), np.float32(0.5)
    enough = normal_cosine * np.float32(NORMAL_SCALE * NORMAL_SCALE)
    for v in range(rows):
        ry = (np.float32(v) - cy) / fy
        for u in range(columns):
            z = depth[v, u]
            if z <= 0:
                continue
            rx = (np.float32(u) - cx) / fx
            there_z = z * (zx * rx + zy * ry + zz) + tz
            if there_z <= 0:
                continue
            inverse = one / there_z
            sx = (z * (xx * rx + xy * ry + xz) + tx) * inverse
            sy = (z * (yx * rx + yy * ry + yz) + ty) * inverse
            a = math.floor(other_fx * sx + other_cx + half)
            b = math.floor(other_fy * sy + other_cy + half)
            if a < 0 or b < 0 or a >= other_columns or b >= other_rows:
                continue
            seen = other_depth[b, a]
            if seen <= 0:
                continue
            mx = np.float32(other_normals[b, a, 0])
            my = np.float32(other_normals[b, a, 1])
            mz = np.float32(other_normals[b, a, 2])
            # the neighbour's plane, extended from its pixel's centre to where we look
            centre_x = (np.float32(a) - other_cx) / other_fx
            centre_y = (np.float32(b) - other_cy) / other_fy
            at_centre = mx * centre_x + my * centre_y + mz
            at_point = mx * sx + my * sy + mz
            if at_centre < 0 and at_point < 0:
                bend = at_centre / at_point
                if abs(bend - one) < np.float32(0.03):
                    seen *= bend
            difference = (seen - there_z) * inverse
            if difference > np.float32(3) * relative_depth:
                against[v, u] += completed[v, u] or not other_completed[b, a]
                continue
            nx = np.float32(normals[v, u, 0])
            ny = np.float32(normals[v, u, 1])
            nz = np.float32(normals[v, u, 2])
            cosine = (
                mx * (xx * nx + xy * ny + xz * nz)
                + my * (yx * nx + yy * ny + yz * nz)
                + mz * (zx * nx + zy * ny + zz * nz)
            )
            if abs(difference) > relative_depth or cosine < enough:
                continue
            # what the neighbour measured, seen from here
            px, py, pz = seen * sx - tx, seen * sy - ty, seen - tz
            bz = xz * px + yz * py + zz * pz
            if bz <= 0:
                continue
            eu = fx * ((xx * px + yx * py + zx * pz) / bz - rx)
            ev = fy * ((xy * px + yy * py + zy * pz) / bz - ry)
            if eu * eu + ev * ev <= reprojection_px * reprojection_px:
                agreeing[v, u] += 1
                ratios[v, u] += bz / z
