"""Seams: the edges where two charts meet, seen from both sides, and what jump remains there.

After global levelling (`levelling`) small differences remain along a seam: detail, a shift by a
pixel. They are split between the two sides and fade out into the charts over a narrow band, as the
harmonic correction that Poisson editing would give (Perez et al. 2003; Waechter et al. 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.texture.adjacency import Adjacency
from insaat_cli.engine.texture.atlas import UNUSED, Atlas
from insaat_cli.engine.texture.bilinear import sample
from insaat_cli.engine.texture.charts import Charts

BAND_PX = 12
RELAXATIONS = 40
REACH_PX = 1.0
BELIEVED_RESIDUAL = 30.0
"""What remains above this (8-bit levels) is a silhouette or a shift; spreading it would smear."""


@dataclass(frozen=True, kw_only=True)
class Seams:
    """Every mesh edge between two charts."""

    ends: NDArray[np.int32]
    """(S, 2, 2) chart vertex, by side and by end; an end is one mesh vertex on both sides."""
    opposite: NDArray[np.int32]
    """(S, 2) the third chart vertex of the face on each side."""

    def inside(self, texel: NDArray[np.float64]) -> NDArray[np.float64]:
        """(S, 2, 2, 2) texel of the ends, moved by `REACH_PX` from the edge into each chart.

        On the edge itself, where it is the photo's silhouette, pixels hold half the background.
        """
        start, end = texel[self.ends[..., 0]], texel[self.ends[..., 1]]
        along = end - start
        across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
        across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
        side = np.sign(((texel[self.opposite] - start) * across).sum(axis=-1, keepdims=True))
        return np.asarray(texel[self.ends] + (REACH_PX * side * across)[:, :, None])


def find_seams(faces: NDArray[np.int32], charts: Charts, adjacency: Adjacency) -> Seams:
    """The shared edges whose two faces lie in different charts, both seen by a photo."""
    chart = charts.chart_of_face[adjacency.edge_faces]
    seam = (chart[:, 0] != chart[:, 1]) & (chart.min(axis=1) >= 0)
    side_faces = adjacency.edge_faces[seam]
    end_vertices = adjacency.edge_vertices[seam]
    corner = np.argmax(faces[side_faces][:, :, None, :] == end_vertices[:, None, :, None], axis=3)
    corners = charts.corners[side_faces]
    ends = np.take_along_axis(corners, corner, axis=2)
    opposite = np.take_along_axis(corners, 3 - corner.sum(axis=2, keepdims=True), axis=2)
    return Seams(ends=ends, opposite=opposite[..., 0])


def smooth_seams(atlas: Atlas, texel: NDArray[np.float64], seams: Seams) -> None:
    """Let the remaining jump across each seam fade out over a band on both sides, in place."""
    length = np.linalg.norm(texel[seams.ends[..., 1]] - texel[seams.ends[..., 0]], axis=-1)
    steps = np.ceil(length.max(axis=1, initial=0.0)).astype(np.int64) + 1
    seam = np.repeat(np.arange(len(steps)), steps)
    share = (np.arange(len(seam)) - np.repeat(np.cumsum(steps) - steps, steps) + 0.5) / steps[seam]
    start, end = texel[seams.ends[seam, :, 0]], texel[seams.ends[seam, :, 1]]
    point = start + share[:, None, None] * (end - start)  # (P, 2 sides, 2)
    value = sample(atlas.color, point)
    residual = value.mean(axis=1, keepdims=True) - value
    size = np.linalg.norm(residual, axis=-1, keepdims=True)
    residual /= 1.0 + (size / BELIEVED_RESIDUAL) ** 4
    height, width = atlas.use.shape
    pixel = point.astype(np.int64)
    index = np.clip(pixel[..., 1], 0, height - 1) * width + np.clip(pixel[..., 0], 0, width - 1)
    _spread(atlas, index.ravel(), residual.reshape(-1, 3))


def _spread(atlas: Atlas, index: NDArray[np.int64], residual: NDArray[np.float64]) -> None:
    """Fix the correction at seam texels, 0 at the band's end, harmonic between; apply it."""
    height, width = atlas.use.shape
    seam_texel, place = np.unique(index, return_inverse=True)
    weight = np.bincount(place)
    mean = np.stack([np.bincount(place, residual[:, k]) / weight for k in range(3)], axis=1)
    slot = np.full(height * width, -1, np.int32)
    band = _grow_band(atlas.use.ravel(), width, seam_texel, slot, BAND_PX)
    correction = np.zeros((len(band), 3), np.float32)
    correction[: len(seam_texel)] = mean
    near = _band_neighbours(band, slot, atlas.use.ravel(), width)
    del slot
    _relax(correction, near, len(seam_texel), RELAXATIONS)
    _apply(atlas.color.reshape(-1, 3), band, correction)


@numba.njit(cache=True, nogil=True)
def _grow_band(use, width, seeds, slot, layers):  # type: ignore[no-untyped-def]
    """Texels of the charts up to `layers` steps from the seeds, nearest first.

    Charts lie apart in the atlas, so a step from used texel to used texel stays in its chart.
    """
    # Room for the whole atlas; the operating system gives memory only for what is written.
    band = np.empty(len(use), np.int32)
    layer = np.empty(len(use), np.uint8)
    count = 0
    for seed in seeds:
        slot[seed] = count
        band[count] = seed
        layer[count] = 0
        count += 1
    done = 0
    while done < count:
        texel = band[done]
        step = layer[done]
        done += 1
        if step == layers:
            continue
        x = texel % width
        for way in range(4):
            if (way == 0 and x == 0) or (way == 1 and x == width - 1):
                continue
            other = texel + (-1 if way == 0 else 1 if way == 1 else -width if way == 2 else width)
            if other < 0 or other >= len(use) or use[other] == UNUSED or slot[other] >= 0:
                continue
            slot[other] = count
            band[count] = other
            layer[count] = step + 1
            count += 1
    return band[:count].copy()


@numba.njit(cache=True, nogil=True)
def _band_neighbours(band, slot, use, width):  # type: ignore[no-untyped-def]
    """(B, 4) place in the band of each neighbour; -1 off the chart, -2 beyond the band's end."""
    near = np.empty((len(band), 4), np.int32)
    for i in range(len(band)):
        x = band[i] % width
        for way in range(4):
            near[i, way] = -1
            if (way == 0 and x == 0) or (way == 1 and x == width - 1):
                continue
            other = band[i] + (-1 if way == 0 else 1 if way == 1 else -width if way == 2 else width)
            if other < 0 or other >= len(use) or use[other] == UNUSED:
                continue
            near[i, way] = slot[other] if slot[other] >= 0 else -2
    return near


@numba.njit(cache=True, nogil=True)
def _relax(correction, near, fixed, rounds):  # type: ignore[no-untyped-def]
    """Gauss-Seidel for Laplace's equation; nothing flows across a chart's edge."""
    for _ in range(rounds):
        for i in range(fixed, len(near)):
            count = 0
            r, g, b = np.float32(0), np.float32(0), np.float32(0)
            for way in range(4):
                other = near[i, way]
                if other == -1:
                    continue
                count += 1
                if other >= 0:
                    r += correction[other, 0]
                    g += correction[other, 1]
                    b += correction[other, 2]
            if count:
                correction[i, 0] = r / count
                correction[i, 1] = g / count
                correction[i, 2] = b / count


@numba.njit(cache=True, nogil=True)
def _apply(color, band, correction):  # type: ignore[no-untyped-def]
    for i in range(len(band)):
        for k in range(3):
            value = color[band[i], k] + correction[i, k]
            color[band[i], k] = np.uint8(min(max(value, 0.0), 255.0) + 0.5)
