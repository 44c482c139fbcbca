"""Charts packed into one image by their outlines, not their bounding boxes.

Levy et al., "Least Squares Conformal Maps" (2002), section 4: tallest first, every chart falls onto
the horizon of those already there, like the pieces of a well-known game.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

COLUMN_PX = 4
"""Outlines are kept in columns of this many texels."""


@dataclass(frozen=True, kw_only=True)
class Outlines:
    """Per chart and column of `COLUMN_PX` texels: where the chart begins and ends, padded."""

    origin: NDArray[np.int32]
    """(C, 2) photo pixel (x, y) at the chart's upper left corner, padding included."""
    height: NDArray[np.int32]
    """(C,) texels."""
    start: NDArray[np.int64]
    """(C + 1,) first column of each chart in `low` and `high`."""
    low: NDArray[np.int32]
    """Per column, first texel row used, from the chart's origin."""
    high: NDArray[np.int32]
    """Per column, end of the texel rows used."""


def chart_outlines(
    points: NDArray[np.float64],
    corners: NDArray[np.int32],
    chart_of_face: NDArray[np.int32],
    charts: int,
    padding: int,
) -> Outlines:
    """Outlines of charts given by faces (F, 3) over points (N, 2) in pixels of their photo."""
    low, high = np.full((charts, 2), np.inf), np.full((charts, 2), -np.inf)
    triangles = points[corners]
    np.minimum.at(low, chart_of_face, triangles.min(axis=1))
    np.maximum.at(high, chart_of_face, triangles.max(axis=1))
    origin = np.floor(low).astype(np.int32) - padding
    size = np.floor(high).astype(np.int32) + 1 + padding - origin
    columns = -(-size[:, 0] // COLUMN_PX)
    start = np.concatenate([[0], np.cumsum(columns, dtype=np.int64)])
    column_low = np.full(start[-1], np.iinfo(np.int32).max, np.int32)
    column_high = np.zeros(start[-1], np.int32)
    _trace(points, corners, chart_of_face, origin, start, padding, column_low, column_high)
    return Outlines(origin=origin, height=size[:, 1], start=start, low=column_low, high=column_high)


def pack(
    outlines: Outlines, width: int, page_height: int, pages: int = 1
) -> NDArray[np.int32] | None:
    """Place the charts on pages of `width` by `page_height` texels, one page below the other.

    Returns the texel (C, 2) of every chart's origin, no chart across the end of a page; None if
    they do not fit. ValueError if a chart is wider than a page.
    """
    columns = np.diff(outlines.start)
    if len(columns) and columns.max() * COLUMN_PX > width:
        raise ValueError("a chart is wider than the atlas")
    order = np.lexsort((np.arange(len(columns)), -columns, -outlines.height))
    place = np.zeros((len(columns), 2), np.int32)
    horizon = np.zeros((pages, width // COLUMN_PX), np.int32)
    fits = _drop(
        order, outlines.start, outlines.height, outlines.low, outlines.high, page_height, horizon,
        place,
    )  # fmt: skip
    return place if fits else None


@numba.njit(cache=True, nogil=True)
def _trace(points, corners, chart_of_face, origin, start, padding, low, high):  # type: ignore[no-untyped-def]
    """Widen the outline of its chart by every face's padded bounding box."""
    for face in range(len(corners)):
        chart = chart_of_face[face]
        a, b, c = points[corners[face, 0]], points[corners[face, 1]], points[corners[face, 2]]
        x0 = int(np.floor(min(a[0], b[0], c[0]))) - padding - origin[chart, 0]
        x1 = int(np.floor(max(a[0], b[0], c[0]))) + padding - origin[chart, 0]
        y0 = int(np.floor(min(a[1], b[1], c[1]))) - padding - origin[chart, 1]
        y1 = int(np.floor(max(a[1], b[1], c[1]))) + padding - origin[chart, 1] + 1
        for column in range(x0 // COLUMN_PX, x1 // COLUMN_PX + 1):
            k = start[chart] + column
            low[k] = min(low[k], y0)
            high[k] = max(high[k], y1)


@numba.njit(cache=True, nogil=True)
def _drop(order, start, height, low, high, page_height, horizon, place):  # type: ignore[no-untyped-def]
    """Let each chart fall where its origin comes to lie deepest, on the first page with room."""
    for chart in order:
        first, end = start[chart], start[chart + 1]
        count = end - first
        landed = False
        for page in range(len(horizon)):
            ground = horizon[page]
            best_x, best_y = -1, page_height - height[chart] + 1
            for x in range(len(ground) - count + 1):
                y = 0
                for k in range(count):
                    y = max(y, ground[x + k] - low[first + k])
                    if y >= best_y:
                        break
                if y < best_y:
                    best_x, best_y = x, y
            if best_x >= 0:
                place[chart, 0] = best_x * COLUMN_PX
                place[chart, 1] = page * page_height + best_y
                for k in range(count):
                    ground[best_x + k] = best_y + high[first + k]
                landed = True
                break
        if not landed:
            return False
    return True
