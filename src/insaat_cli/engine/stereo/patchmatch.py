"""Slanted-plane depth refinement: PatchMatch over inverse-depth planes, from a given start.

After Bleyer et al. 2011 (PatchMatch stereo), Schoenberger et al. 2016 (bilaterally weighted NCC)
and Shen 2013 (sequential sweeps). A pixel's plane is its inverse depth w and the gradient (wx, wy)
of w over the image: inverse depth is linear on a plane, so a neighbour's plane extends by
`w + wx dx + wy dy`, and no normal is needed until the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.plane_sweep import NOISE_VARIANCE, RADIUS, WORST, sweep

Map = npt.NDArray[np.float32]

OVERSAMPLING = 2
"""Neighbour photos are enlarged this much, so that the nearest sample is near enough."""


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

    grays: Map
    """(V, rows, columns), enlarged `OVERSAMPLING` times, padded to the largest. In 32 bits, which
    processors can gather from many places at once, as they cannot bytes."""
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
    smoothness: float = 0.1
    random_trials: int = 4
    sparing: bool = False
    """Every pixel tries half of them, its neighbours the other half."""
    min_contrast: float = 0.8
    """Patches with a variance below this share of the noise's are left alone."""
    color_sigma: float = 16.0
    seed: int = 1


def relate(reference: View, others: list[View], grays: list[npt.NDArray[np.uint8]]) -> Neighbours:
    """Put neighbour photos (enlarged) and their geometry relative to `reference` into arrays."""
    rows = max(gray.shape[0] for gray in grays)
    columns = max(gray.shape[1] for gray in grays)
    stack = np.zeros((len(grays), rows, columns), np.float32)
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
    wy, wx = (np.asarray(slope, np.float32) for slope in np.gradient(w))
    return Planes(
        w=w.astype(np.float32),
        wx=wx,
        wy=wy,
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
    weights = np.exp(-np.arange(256, dtype=np.float32) / np.float32(search.color_sigma))
    reference = np.pad(gray, RADIUS, mode="edge")
    best = min(search.best_views, len(neighbours.M))
    asked = min(best + 1, len(neighbours.M))
    order = np.empty((*gray.shape, asked), np.uint8)
    starts = (np.arange(len(neighbours.M)) * neighbours.grays[0].size).astype(np.int32)
    geometry = np.concatenate([neighbours.M, neighbours.T[:, :, None]], axis=2).reshape(-1, 12)
    for turn in range(search.sweeps):
        sweep(
            reference,
            result.w,
            result.wx,
            result.wy,
            result.cost,
            order,
            neighbours.grays.reshape(-1),
            starts,
            np.int32(neighbours.grays.shape[2]),
            neighbours.sizes.astype(np.float32),
            geometry,
            weights,
            np.float32(focal_px),
            np.float32(inverse_depths[0]),
            np.float32(inverse_depths[1]),
            best,
            np.float32(search.depth_step * 0.5**turn),
            np.float32(search.slope_step * 0.5**turn),
            np.float32(search.smoothness),
            3 + search.random_trials,
            search.sparing,
            np.float32(search.min_contrast * NOISE_VARIANCE),
            turn,
            np.uint32(search.seed * 7919 + turn),
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
