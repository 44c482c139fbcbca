"""Where everything lies in the atlas: charts packed on one page or several, cells below them.

It ends for every mesh. Charts that need more room than their faces' cells, and show no more, are
replaced by cells. Then the charts shrink, a bounded number of times; if their padding alone is
still too much, only the largest stay. Faces in no chart have cells, which always fit (`cells`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.texture.cells import CELL_PX, CellArea, rows_for
from insaat_cli.engine.texture.charts import Charts
from insaat_cli.engine.texture.packing import COLUMN_PX, Outlines, chart_outlines, pack
from insaat_cli.engine.texture.photo import Photo

PADDING_PX = 3
SMALLEST_PAGE_PX = 64
HEIGHT_STEP_PX = 16
CELL_TEXELS = CELL_PX * CELL_PX
CELL_SHOWS = 0.5 * CELL_TEXELS
"""Texels of a cell within its triangle: a face larger than this would lose detail in it."""
DEARER = 2.0
"""A chart is replaced by cells if it takes so many times their room."""
WORTH_A_PAGE = 0.7
"""Below so many texels a photo pixel there is a further page, if there may be one."""
MAX_TRIES = 12
STEP = 0.98
"""A try that fails by little is followed by one at this share of its scale."""
CELLS_SHARE = 0.5
"""Cells take no more than this share of a page."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where each chart lies in its photo and in the atlas: one image, page below page."""

    scale: float
    """Texels per photo pixel, at most 1."""
    width: int
    height: int
    """Of all pages; the last may be lower than the others."""
    page_height: int
    texel: NDArray[np.float64]
    """(N, 2) place of every chart vertex in the atlas; texel centres at +0.5."""
    shift: NDArray[np.int32]
    """(C, 2) from the pixel of the (scaled) photo to the texel of the atlas."""
    cells: CellArea
    """Room for the faces in no chart, on the last page."""
    used_share: float
    """Share of the atlas covered by faces."""


def scaled_size(photo: Photo, scale: float) -> tuple[int, int]:
    """(width, height) of a photo at `scale`, whole pixels."""
    return max(1, round(photo.width * scale)), max(1, round(photo.height * scale))


def plan_layout(
    vertices: NDArray[np.float64],
    charts: Charts,
    photos: Sequence[Photo],
    *,
    largest_side: int,
    max_pages: int = 1,
) -> tuple[Charts, Layout]:
    """The charts that are worth their room, and their places at one texel a photo pixel, or as
    close to that as `max_pages` pages of `largest_side` allow."""
    shapes = _measure(vertices, charts, photos, max(largest_side, SMALLEST_PAGE_PX))
    for pages in range(1, max(1, max_pages) + 1):
        scale = shapes.first_scale(pages)
        least = WORTH_A_PAGE if pages < max_pages else 0.0
        for _ in range(MAX_TRIES):
            if scale < least:
                break
            at_scale = shapes.at(scale)
            found = _fit(shapes, at_scale, shapes.worthy(at_scale), pages)
            if isinstance(found, tuple):
                return found
            scale *= found
    return _only_the_largest(shapes, shapes.at(scale), max(1, max_pages))


@dataclass(frozen=True, kw_only=True)
class _AtScale:
    """The charts at one scale."""

    scale: float
    points: NDArray[np.float64]
    """(N, 2) pixel of every chart vertex in its scaled photo."""
    size: NDArray[np.int64]
    """(C, 2) width and height of each chart, padding included."""


@dataclass(frozen=True, kw_only=True)
class _Shapes:
    """The charts at full size, and the pages they are to fit on."""

    charts: Charts
    photo_sizes: NDArray[np.float64]
    """(P, 2) width and height."""
    photos: Sequence[Photo]
    points: NDArray[np.float64]
    """(N, 2) pixel of every chart vertex in the photo of its chart."""
    first: NDArray[np.int64]
    """(C,) first vertex of each chart."""
    area: NDArray[np.float64]
    """(C,) pixels."""
    faces: NDArray[np.int64]
    """(C,) number of faces."""
    side: int

    def first_scale(self, pages: int) -> float:
        """At most 1; no chart is wider than a page at it, nor all faces larger than all pages."""
        low, high = self._extent(self.points)
        longest = float((high - low).max(initial=1.0))
        room = self.side - 2 * PADDING_PX - COLUMN_PX - 2
        by_area = 1.1 * self.side * math.sqrt(pages / max(float(self.area.sum()), 1.0))
        return min(1.0, by_area, room / max(longest, 1.0))

    def at(self, scale: float) -> _AtScale:
        sizes = np.array([scaled_size(photo, scale) for photo in self.photos])
        factor = sizes / self.photo_sizes
        points = self.points * factor[self.charts.photo_of_chart[self.charts.chart]]
        low, high = self._extent(points)
        size = np.floor(high).astype(np.int64) - np.floor(low).astype(np.int64)
        return _AtScale(scale=scale, points=points, size=size + 1 + 2 * PADDING_PX)

    def worthy(self, at_scale: _AtScale) -> NDArray[np.bool_]:
        """Which charts (C,) are smaller than their faces' cells, or show more than those can."""
        dear = at_scale.size.prod(axis=1) > DEARER * CELL_TEXELS * self.faces
        small = self.area * at_scale.scale**2 <= CELL_SHOWS * self.faces
        return np.asarray(~(dear & small))

    def cells(self, kept: NDArray[np.bool_]) -> int:
        """Faces in none of the kept charts."""
        return len(self.charts.chart_of_face) - int(self.faces[kept].sum())

    def _extent(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if not len(self.first):
            return np.zeros((0, 2)), np.zeros((0, 2))
        # Vertices are ordered by chart, so each chart's are one slice.
        return np.minimum.reduceat(points, self.first), np.maximum.reduceat(points, self.first)


def _measure(
    vertices: NDArray[np.float64], charts: Charts, photos: Sequence[Photo], side: int
) -> _Shapes:
    points = np.empty((len(charts.vertex), 2))
    photo_of_vertex = charts.photo_of_chart[charts.chart]
    for index, photo in enumerate(photos):
        mine = photo_of_vertex == index
        points[mine] = photo.project(vertices[charts.vertex[mine]])
    seen = charts.chart_of_face >= 0
    a, b, c = (points[charts.corners[seen, k]] for k in range(3))
    ab, ac = b - a, c - a
    area: NDArray[np.float64] = 0.5 * np.abs(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0])
    count = len(charts.photo_of_chart)
    return _Shapes(
        charts=charts,
        photos=photos,
        photo_sizes=np.array([[photo.width, photo.height] for photo in photos], float),
        points=points,
        first=np.searchsorted(charts.chart, np.arange(count)),
        area=np.bincount(charts.chart_of_face[seen], area, count).astype(np.float64),
        faces=np.bincount(charts.chart_of_face[seen], minlength=count),
        side=side,
    )


def _fit(
    shapes: _Shapes, at_scale: _AtScale, kept: NDArray[np.bool_], pages: int
) -> tuple[Charts, Layout] | float:
    """The layout of the kept charts, or how much shorter their sides should be to fit the pages."""
    side, scale = shapes.side, at_scale.scale
    width = _width_for(shapes, at_scale, kept, pages)
    cell_rows = min(rows_for(shapes.cells(kept), width), int(CELLS_SHARE * side))
    room = width * (pages * side - cell_rows)
    # No chart is smaller than this, so what cannot fit need not be traced and packed.
    columns = -(-at_scale.size[kept, 0] // COLUMN_PX) * COLUMN_PX
    least = int(columns.sum()) * (1 + 2 * PADDING_PX)
    if least > room or columns.max(initial=0) > width:
        return min(STEP, math.sqrt(room / max(least, 1)))
    charts = shapes.charts.keeping(kept)
    points = at_scale.points[kept[shapes.charts.chart]]
    outlines = _outlines(charts, points)
    least = COLUMN_PX * int((outlines.high - outlines.low).sum(dtype=np.int64))
    if least > room:
        return min(STEP, math.sqrt(room / least))
    place = pack(outlines, width, side, pages)
    if place is None:
        return STEP
    end = int((place[:, 1] + outlines.height).max(initial=0))
    left = -end % side
    first_row = end if cell_rows <= left else end + left
    if first_row + cell_rows > pages * side:
        return STEP
    cells = CellArea(first_row=first_row, rows=cell_rows, width=width)
    height = _height(cells, side)
    shift = place - outlines.origin
    return charts, Layout(
        scale=scale, width=width, height=height, page_height=side,
        texel=points + shift[charts.chart], shift=shift, cells=cells,
        used_share=float(shapes.area[kept].sum()) * scale**2 / (width * height),
    )  # fmt: skip


def _outlines(charts: Charts, points: NDArray[np.float64]) -> Outlines:
    seen = charts.chart_of_face >= 0
    return chart_outlines(
        points, charts.corners[seen], charts.chart_of_face[seen], len(charts.photo_of_chart),
        PADDING_PX,
    )  # fmt: skip


def _height(cells: CellArea, side: int) -> int:
    """Rows in use, rounded up, but not across the end of a page."""
    end = max(cells.first_row + cells.rows, HEIGHT_STEP_PX)
    rounded = -(-end // HEIGHT_STEP_PX) * HEIGHT_STEP_PX
    return min(rounded, -(-end // side) * side)


def _width_for(shapes: _Shapes, at_scale: _AtScale, kept: NDArray[np.bool_], pages: int) -> int:
    """The power of two (or the largest side) whose square holds the charts, roughly."""
    if pages > 1:
        return shapes.side
    cells = CELL_TEXELS * shapes.cells(kept)
    area = float(shapes.area[kept].sum()) * at_scale.scale**2 + cells
    boxes = int(at_scale.size[kept].prod(axis=1).sum()) + cells
    widest = COLUMN_PX * -(-int(at_scale.size[kept, 0].max(initial=0)) // COLUMN_PX)
    width = 2 * SMALLEST_PAGE_PX
    while width < shapes.side and (
        width * width < 1.25 * area or width * shapes.side < boxes or width < widest
    ):
        width *= 2
    return min(width, shapes.side)


def _only_the_largest(shapes: _Shapes, at_scale: _AtScale, pages: int) -> tuple[Charts, Layout]:
    """The layout of as many of the largest charts as fit; without any, it always does."""
    order = np.argsort(-shapes.area, kind="stable")
    order = order[at_scale.size.max(axis=1, initial=0)[order] <= shapes.side - COLUMN_PX]
    room = float(pages - CELLS_SHARE) * shapes.side**2
    count = int(np.searchsorted(np.cumsum(at_scale.size.prod(axis=1)[order]), room))
    while True:
        kept = np.zeros(len(shapes.area), np.bool_)
        kept[order[:count]] = True
        found = _fit(shapes, at_scale, kept, pages)
        if isinstance(found, tuple):
            return found
        assert count > 0, "cells alone always fit"
        count = count * 9 // 10
