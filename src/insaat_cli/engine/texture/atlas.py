"""The atlas: patches cut from the photos, texel for pixel, and the gaps between them filled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.engine.texture.charts import Charts
from insaat_cli.engine.texture.layout import Layout, scaled_size
from insaat_cli.engine.texture.loose import LooseFaces
from insaat_cli.engine.texture.photo import Photo

RING_PX = 2
"""So many texels around a chart also come from its photo, for bilinear sampling at its edge."""
UNUSED, RING, INSIDE = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Atlas:
    """The texture while it is being made."""

    color: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    use: NDArray[np.uint8]
    """(H, W) `UNUSED`, `RING` or `INSIDE`."""


def copy_patches(
    charts: Charts,
    layout: Layout,
    photos: Sequence[Photo],
    *,
    threads: int,
    progress: Callable[[float], None],
    loose: LooseFaces | None = None,
) -> Atlas:
    """Copy every chart's pixels from its photo; one photo in memory at a time.

    The photos also give the faces in no chart, `loose`, their colors.
    """
    color = np.zeros((layout.height, layout.width, 3), np.uint8)
    use = np.zeros((layout.height, layout.width), np.uint8)
    points = layout.texel - layout.shift[charts.chart]
    flat = np.column_stack([points, np.ones(len(points))])
    photo_of_face = np.append(charts.photo_of_chart, np.int32(-1))[charts.chart_of_face]
    for index, photo in enumerate(photos):
        mine = np.flatnonzero(photo_of_face == index)
        if len(mine) or (loose is not None and loose.wants(index)):
            width, height = scaled_size(photo, layout.scale)
            pixels = photo.read()
            if (width, height) != (photo.width, photo.height):
                small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
                pixels = np.asarray(small, np.uint8)
            if loose is not None:
                loose.look(index, photo, pixels)
            raster = rasterize(
                flat, charts.corners[mine], np.eye(3), width, height, threads=threads
            )
            chart_of_face = np.append(charts.chart_of_face[mine], np.int32(-1))
            chart_image = chart_of_face[raster.face]
            bounds = _bounds(points, charts, index)
            _copy_charts(pixels, chart_image, bounds, layout.shift, RING_PX, color, use)
        progress((index + 1) / len(photos))
    return Atlas(color=color, use=use)


def _bounds(points: NDArray[np.float64], charts: Charts, photo: int) -> NDArray[np.int32]:
    """(C', 5) chart, and first and last pixel in x and y, of the charts of one photo."""
    mine = np.flatnonzero(charts.photo_of_chart == photo)
    start = np.searchsorted(charts.chart, mine)
    end = np.searchsorted(charts.chart, mine, side="right")
    # Vertices are ordered by chart, so each chart's are one slice.
    slices = np.stack([start, end], axis=1).ravel()
    slices = slices[:-1] if len(slices) and slices[-1] == len(points) else slices
    low = np.floor(np.minimum.reduceat(points, slices)[::2])
    high = np.floor(np.maximum.reduceat(points, slices)[::2])
    return np.column_stack([mine, low, high]).astype(np.int32)


@numba.njit(cache=True, nogil=True)
def _copy_charts(pixels, chart_image, bounds, shift, ring, color, use):  # type: ignore[no-untyped-def]
    """Copy each chart's pixels, and a ring of `ring` pixels around it."""
    height, width = chart_image.shape
    for row in range(len(bounds)):
        chart = bounds[row, 0]
        dx, dy = shift[chart, 0], shift[chart, 1]
        for y in range(max(0, bounds[row, 2] - ring), min(height, bounds[row, 4] + ring + 1)):
            for x in range(max(0, bounds[row, 1] - ring), min(width, bounds[row, 3] + ring + 1)):
                kind = INSIDE if chart_image[y, x] == chart else UNUSED
                if kind == UNUSED:
                    for y1 in range(max(0, y - ring), min(height, y + ring + 1)):
                        for x1 in range(max(0, x - ring), min(width, x + ring + 1)):
                            if chart_image[y1, x1] == chart:
                                kind = RING
                if kind != UNUSED:
                    use[y + dy, x + dx] = kind
                    for k in range(3):
                        color[y + dy, x + dx, k] = pixels[y, x, k]


def fill_gaps(atlas: Atlas) -> None:
    """Give every unused texel, in place, a color of the charts around it (pull-push).

    Mipmaps and JPEG blocks then mix nothing foreign into a chart's edge.
    """
    _fill(atlas.color, atlas.use != UNUSED)


def _fill(color: NDArray[np.uint8], known: NDArray[np.bool_]) -> None:
    height, width = known.shape
    if known.all() or not known.any() or min(height, width) < 2:
        return
    size = ((height + 1) // 2, (width + 1) // 2)
    half, half_known = np.zeros((*size, 3), np.uint8), np.zeros(size, np.bool_)
    _pull(color, known, half, half_known)
    _fill(half, half_known)
    _push(half, known, color)


@numba.njit(cache=True, nogil=True)
def _pull(color, known, half, half_known):  # type: ignore[no-untyped-def]
    """Average the known texels of each block of two by two."""
    height, width = known.shape
    for y in range(half.shape[0]):
        for x in range(half.shape[1]):
            r, g, b, count = 0, 0, 0, 0
            for y1 in range(2 * y, min(2 * y + 2, height)):
                for x1 in range(2 * x, min(2 * x + 2, width)):
                    if known[y1, x1]:
                        r += color[y1, x1, 0]
                        g += color[y1, x1, 1]
                        b += color[y1, x1, 2]
                        count += 1
            if count:
                half_known[y, x] = True
                half[y, x, 0] = (r + count // 2) // count
                half[y, x, 1] = (g + count // 2) // count
                half[y, x, 2] = (b + count // 2) // count


@numba.njit(cache=True, nogil=True)
def _push(half, known, color):  # type: ignore[no-untyped-def]
    for y in range(known.shape[0]):
        for x in range(known.shape[1]):
            if not known[y, x]:
                for k in range(3):
                    color[y, x, k] = half[y // 2, x // 2, k]
