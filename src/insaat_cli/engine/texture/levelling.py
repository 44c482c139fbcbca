"""Global seam levelling: a smooth change of brightness and color in each chart that closes seams.

Waechter et al., section 3.3, after Lempitsky and Ivanov (2007): every chart vertex gets an offset;
across a seam the offsets make up for the difference of the photos, inside a chart they change
little from vertex to vertex.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import cg

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.engine.texture.atlas import INSIDE, RING, Atlas
from insaat_cli.engine.texture.bilinear import sample
from insaat_cli.engine.texture.charts import Charts
from insaat_cli.engine.texture.seams import Seams

SMOOTHNESS = 0.1
"""Weight of the change along an edge inside a chart, against 1 for a jump across a seam."""
ANCHOR = 1e-4
"""Weight that keeps offsets small where nothing else fixes them."""
BELIEVED_JUMP = 40.0
"""Differences well above this (8-bit levels) are no matter of exposure: one photo shows something
else there, such as the sky beside a roof. They count less, or they would tint whole charts."""
BELIEVED_SPREAD = 15.0
"""Two photos differ in exposure by about the same everywhere; what differs from their median by
much more than this is detail at the edge of a chart."""
SAMPLES = 5
TOLERANCE = 1e-3
MAX_ITERATIONS = 150
BAND_ROWS = 512


def solve_offsets(
    atlas: Atlas,
    texel: NDArray[np.float64],
    charts: Charts,
    seams: Seams,
    adjacency_edges: NDArray[np.int32],
) -> NDArray[np.float32]:
    """RGB offset (N, 3), in 8-bit levels, of every chart vertex.

    `adjacency_edges` (E, 2) are the edges between chart vertices inside the charts.
    """
    count = len(charts.vertex)
    jump = _jumps(atlas, texel, seams)  # (S, 2 ends, 3)
    side_a, side_b = seams.ends[:, 0].ravel(), seams.ends[:, 1].ravel()
    photos = charts.photo_of_chart[charts.chart[seams.ends[:, :, 0]]]
    belief = np.repeat(_belief(jump.mean(axis=1), photos), 2)
    i = np.concatenate([side_a, adjacency_edges[:, 0]])
    j = np.concatenate([side_b, adjacency_edges[:, 1]])
    weight = np.concatenate([belief, np.full(len(adjacency_edges), SMOOTHNESS**2)])
    laplacian = _laplacian(i, j, weight, count)
    offsets = np.zeros((count, 3), np.float32)
    jacobi = diags(1.0 / laplacian.diagonal())
    for k in range(3):
        right = np.bincount(side_a, belief * jump[..., k].ravel(), count)
        right -= np.bincount(side_b, belief * jump[..., k].ravel(), count)
        solution, _ = cg(laplacian, right, rtol=TOLERANCE, maxiter=MAX_ITERATIONS, M=jacobi)
        offsets[:, k] = solution - solution.mean()
    return offsets


def _belief(jump: NDArray[np.float64], photos: NDArray[np.int32]) -> NDArray[np.float64]:
    """Weight (S,) of each seam edge, from its jump (S, 3) and the photos (S, 2) on its sides."""
    flipped = photos[:, 0] > photos[:, 1]
    oriented = np.where(flipped[:, None], -jump, jump)
    _, pair = np.unique(np.sort(photos, axis=1), axis=0, return_inverse=True)
    order = np.argsort(pair.reshape(-1), kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(pair.reshape(-1)))[:-1])
    spread = np.empty(len(jump))
    for group in groups:
        middle = np.median(oriented[group], axis=0)
        spread[group] = np.linalg.norm(oriented[group] - middle, axis=1)
    size = np.linalg.norm(jump, axis=1)
    return np.asarray(
        1.0 / (1.0 + (size / BELIEVED_JUMP) ** 2) / (1.0 + (spread / BELIEVED_SPREAD) ** 2)
    )


def _laplacian(
    i: NDArray[np.int32], j: NDArray[np.int32], weight: NDArray[np.float64], count: int
) -> Any:
    degree = np.bincount(i, weight, count) + np.bincount(j, weight, count) + ANCHOR
    both = (np.concatenate([i, j]), np.concatenate([j, i]))
    return (diags(degree) - coo_matrix((np.tile(weight, 2), both), (count, count))).tocsr()


def _jumps(atlas: Atlas, texel: NDArray[np.float64], seams: Seams) -> NDArray[np.float64]:
    """(S, 2, 3) color on side b less that on side a, by end, averaged along the edge."""
    share = np.linspace(0, 1, SAMPLES)
    inside = seams.inside(texel)
    mean = np.zeros((len(seams.ends), 2, 2, 3))  # by side, by end
    for t in share:
        point = (1 - t) * inside[:, :, 0] + t * inside[:, :, 1]
        value = sample(atlas.color, point)
        mean[:, :, 0] += (1 - t) * value
        mean[:, :, 1] += t * value
    mean /= share.sum()
    return np.asarray(mean[:, 1] - mean[:, 0])


def apply_offsets(
    atlas: Atlas,
    texel: NDArray[np.float64],
    corners: NDArray[np.int32],
    offsets: NDArray[np.float32],
    *,
    threads: int,
) -> None:
    """Add the offsets, interpolated over the faces (F, 3), to the atlas, a band at a time."""
    height, width = atlas.use.shape
    flat = np.column_stack([texel, np.ones(len(texel))])
    for first in range(0, height, BAND_ROWS):
        rows = min(BAND_ROWS, height - first)
        K = np.array([[1.0, 0, 0], [0, 1, -first], [0, 0, 1]])
        raster = rasterize(flat, corners, K, width, rows, barycentric=True, threads=threads)
        band = slice(first, first + rows)
        _add(
            raster.face, raster.barycentric, corners, offsets,
            atlas.use[band], atlas.color[band],
        )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _add(face, weights, corners, offsets, use, color):  # type: ignore[no-untyped-def]
    """Add the offset to texels inside faces, and the nearby faces' to those of the ring."""
    height, width = face.shape
    total = np.empty(3)
    for y in range(height):
        for x in range(width):
            if use[y, x] != INSIDE and use[y, x] != RING:
                continue
            reach = 0 if face[y, x] >= 0 else 2
            total[0], total[1], total[2] = 0.0, 0.0, 0.0
            count = 0
            for y1 in range(max(0, y - reach), min(height, y + reach + 1)):
                for x1 in range(max(0, x - reach), min(width, x + reach + 1)):
                    index = face[y1, x1]
                    if index < 0:
                        continue
                    w1, w2 = weights[y1, x1, 0], weights[y1, x1, 1]
                    for k in range(3):
                        total[k] += (
                            (1.0 - w1 - w2) * offsets[corners[index, 0], k]
                            + w1 * offsets[corners[index, 1], k]
                            + w2 * offsets[corners[index, 2], k]
                        )
                    count += 1
            for k in range(3):
                value = color[y, x, k] + total[k] / max(count, 1)
                color[y, x, k] = np.uint8(min(max(value, 0.0), 255.0) + 0.5)
