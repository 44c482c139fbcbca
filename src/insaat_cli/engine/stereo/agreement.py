"""Which depths of a view its neighbours confirm.

A depth is believed where enough neighbour views measured the same place (after Merrell et al. 2007:
support against free-space violations).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """When two views count as seeing the same place."""

    views: int = 2
    """Other views that must agree."""
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
    """Depth of `view` averaged with the neighbours that agree, 0 where too few do, and how many."""
    rows = max(one.depth.shape[0] for one in other_maps)
    columns = max(one.depth.shape[1] for one in other_maps)
    depths = np.zeros((len(others), rows, columns), np.float32)
    normals = np.zeros((len(others), rows, columns, 3), np.int8)
    to_other = np.empty((len(others), 3, 4))
    intrinsics = np.empty((len(others), 4))
    for index, (other, one) in enumerate(zip(others, other_maps, strict=True)):
        height, width = one.depth.shape
        depths[index, :height, :width] = one.depth
        normals[index, :height, :width] = one.normals
        rotation = other.R @ view.R.T
        to_other[index, :, :3] = rotation
        to_other[index, :, 3] = other.t - rotation @ view.t
        intrinsics[index] = intrinsics_of(other)
    depth = np.zeros_like(depth_map.depth)
    support = np.zeros(depth.shape, np.uint8)
    _agree(
        depth_map.depth, depth_map.normals, intrinsics_of(view).astype(np.float32),
        depths, normals, to_other.astype(np.float32), intrinsics.astype(np.float32),
        rule.views, np.float32(rule.reprojection_px), np.float32(rule.relative_depth),
        np.float32(rule.normal_cosine), depth, support,
    )  # fmt: skip
    return depth, support


def intrinsics_of(view: View) -> Floats:
    """Focal lengths and principal point, (fx, fy, cx, cy)."""
    return np.array([view.K[0, 0], view.K[1, 1], view.K[0, 2], view.K[1, 2]])


AGREES, CONTRADICTS, NEUTRAL = 1, 2, 0


@njit(nogil=True, cache=True, fastmath=True)
def _agree(  # type: ignore[no-untyped-def]
    depth, normals, K, depths, other_normals, to_other, intrinsics,
    least, reprojection_px, relative_depth, normal_cosine, agreed, support,
):  # fmt: skip
    rows, columns = depth.shape
    for v in range(rows):
        for u in range(columns):
            z = depth[v, u]
            if z <= 0:
                continue
            rx, ry = (np.float32(u) - K[2]) / K[0], (np.float32(v) - K[3]) / K[1]
            count, against = 0, 0
            total = np.float32(1)
            for j in range(len(depths)):
                verdict, ratio = _ask(
                    j, z, rx, ry, normals[v, u, 0], normals[v, u, 1], normals[v, u, 2],
                    K, depths, other_normals, to_other, intrinsics,
                    reprojection_px, relative_depth, normal_cosine,
                )  # fmt: skip
                if verdict == AGREES:
                    count += 1
                    total += ratio
                elif verdict == CONTRADICTS:
                    against += 1
            if count >= least and count > against:
                agreed[v, u] = z * total / np.float32(count + 1)
                support[v, u] = count


@njit(nogil=True, cache=True, fastmath=True)
def _ask(  # type: ignore[no-untyped-def]
    j, z, rx, ry, nx, ny, nz, K, depths, other_normals, to_other, intrinsics,
    reprojection_px, relative_depth, normal_cosine,
):  # fmt: skip
    """What view `j` says of a point at depth `z` on a ray, and its depth relative to `z`."""
    one = np.float32(1)
    T, Kj = to_other[j], intrinsics[j]
    x = z * (T[0, 0] * rx + T[0, 1] * ry + T[0, 2]) + T[0, 3]
    y = z * (T[1, 0] * rx + T[1, 1] * ry + T[1, 2]) + T[1, 3]
    zj = z * (T[2, 0] * rx + T[2, 1] * ry + T[2, 2]) + T[2, 3]
    if zj <= 0:
        return NEUTRAL, one
    uj, vj = Kj[0] * x / zj + Kj[2], Kj[1] * y / zj + Kj[3]
    a, b = round(uj), round(vj)
    if a < 0 or b < 0 or a >= depths.shape[2] or b >= depths.shape[1] or depths[j, b, a] <= 0:
        return NEUTRAL, one
    mx = np.float32(other_normals[j, b, a, 0])
    my = np.float32(other_normals[j, b, a, 1])
    mz = np.float32(other_normals[j, b, a, 2])
    # the neighbour's plane, extended from its pixel's centre to where we look
    sx, sy = x / zj, y / zj
    here = mx * (np.float32(a) - Kj[2]) / Kj[0] + my * (np.float32(b) - Kj[3]) / Kj[1] + mz
    there = mx * sx + my * sy + mz
    seen = depths[j, b, a]
    if here < 0 and there < 0 and abs(here / there - one) < np.float32(0.03):
        seen *= here / there
    difference = (seen - zj) / zj
    if difference > np.float32(3) * relative_depth:
        return CONTRADICTS, one
    cosine = (
        mx * (T[0, 0] * nx + T[0, 1] * ny + T[0, 2] * nz)
        + my * (T[1, 0] * nx + T[1, 1] * ny + T[1, 2] * nz)
        + mz * (T[2, 0] * nx + T[2, 1] * ny + T[2, 2] * nz)
    ) * np.float32(1.0 / (NORMAL_SCALE * NORMAL_SCALE))
    if abs(difference) > relative_depth or cosine < normal_cosine:
        return NEUTRAL, one
    # what the neighbour measured, seen from here
    px, py, pz = seen * sx - T[0, 3], seen * sy - T[1, 3], seen - T[2, 3]
    bx = T[0, 0] * px + T[1, 0] * py + T[2, 0] * pz
    by = T[0, 1] * px + T[1, 1] * py + T[2, 1] * pz
    bz = T[0, 2] * px + T[1, 2] * py + T[2, 2] * pz
    eu, ev = K[0] * (bx / bz - rx), K[1] * (by / bz - ry)
    if bz <= 0 or eu * eu + ev * ev > reprojection_px * reprojection_px:
        return NEUTRAL, one
    return AGREES, bz / z
