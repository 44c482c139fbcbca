"""Planning the atlas ends for every mesh, and everything has a place of its own."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from insaat_cli.engine.texture.cells import CELL_PX
from insaat_cli.engine.texture.charts import Charts
from insaat_cli.engine.texture.layout import PADDING_PX, Layout, plan_layout
from insaat_cli.engine.texture.photo import Photo

Triangles = NDArray[np.float64]
"""(C, 3, 2) pixels, one triangle a chart."""


def flat_photo(width: int, height: int) -> Photo:
    """A camera whose pixel (x, y) shows the world's point (x, y, 1)."""
    pose = np.eye(3, 4)
    return Photo(path=Path("none"), width=width, height=height, K=np.eye(3), cam_from_world=pose)


def one_face_charts(triangles: Triangles, photos: int = 1) -> tuple[NDArray[np.float64], Charts]:
    """Vertices, and charts of one face each, in turn of each photo."""
    count = len(triangles)
    vertices = np.concatenate([triangles, np.ones((count, 3, 1))], axis=2).reshape(-1, 3)
    number = np.arange(count, dtype=np.int32)
    corners = np.arange(3 * count, dtype=np.int32)
    charts = Charts(
        chart_of_face=number,
        photo_of_chart=number % photos,
        corners=corners.reshape(-1, 3),
        vertex=corners,
        chart=number.repeat(3),
    )
    return vertices, charts


def boxes(size: NDArray[np.float64], seed: int) -> Triangles:
    """Triangles that fill about half a box of `size` (C, 2), anywhere in a photo of 4000 x 3000."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 1, (len(size), 1, 2)) * (np.array([4000, 3000]) - size)[:, None]
    unit = rng.permuted(np.array([[0.0, 0], [1, 0.3], [0.4, 1]])[None].repeat(len(size), 0), axis=1)
    return np.asarray(corner + unit * size[:, None])


def check(charts: Charts, kept: Charts, layout: Layout, largest_side: int, pages: int) -> None:
    """Nothing beyond a page, every face in a chart or in a cell, photos never enlarged."""
    side = max(largest_side, 64)
    assert layout.page_height == side
    assert layout.width <= side
    assert layout.height <= pages * side
    assert 0 < layout.scale <= 1
    assert len(layout.texel) == len(kept.vertex)
    assert np.array_equal(kept.chart_of_face < 0, kept.corners[:, 0] < 0)
    if len(layout.texel):
        assert layout.texel.min() >= PADDING_PX
        assert layout.texel[:, 0].max() <= layout.width - PADDING_PX
        page = layout.texel[:, 1] // side
        first = np.flatnonzero(np.diff(kept.chart, prepend=-1))
        low = np.minimum.reduceat(layout.texel[:, 1], first) - PADDING_PX
        high = np.maximum.reduceat(layout.texel[:, 1], first) + PADDING_PX
        assert np.array_equal(low // side, page[first])
        assert np.all(high <= np.minimum((page[first] + 1) * side, layout.height))
        assert high.max() <= layout.cells.first_row + PADDING_PX
    loose = int((kept.chart_of_face < 0).sum())
    assert layout.cells.slots > 0 or not loose
    cells_end = layout.cells.first_row + layout.cells.rows
    assert cells_end <= layout.height
    assert layout.cells.first_row // side == (cells_end - 1) // side or not layout.cells.rows
    assert len(charts.chart_of_face) == len(kept.chart_of_face)


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.3, 2.0, 9.0, 60.0, 900.0, 3900.0]),
            st.sampled_from([0.0, 0.3, 2.0, 9.0, 60.0, 900.0, 2900.0]),
            st.sampled_from([1, 7, 60, 900]),
        ),
        min_size=1,
        max_size=6,
    ),
    largest_side=st.sampled_from([1, 64, 97, 256, 1000]),
    pages=st.integers(1, 3),
    photos=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_any_charts_have_a_place(
    kinds: list[tuple[float, float, int]], largest_side: int, pages: int, photos: int, seed: int
) -> None:
    size = np.concatenate([np.full((count, 2), (wide, high)) for wide, high, count in kinds])
    vertices, charts = one_face_charts(boxes(size, seed), photos)
    sizes = [(4000, 3000), (641, 4801), (5, 3)]
    kept, layout = plan_layout(
        vertices,
        charts,
        [flat_photo(*size) for size in sizes[:photos]],
        largest_side=largest_side,
        max_pages=pages,
    )
    check(charts, kept, layout, largest_side, pages)


MANY, FEW = 500_000, 20_000
SIZES = {
    "points": (0.0, 0.0),
    "dust": (3.0, 3.0),
    "small": (9.0, 9.0),
    "long and thin": (600.0, 0.5),
    "tall and thin": (0.5, 600.0),
    "as large as the photo": (3999.0, 2999.0),
}


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *((kind, FEW) for kind in SIZES),
        ("small", MANY),
        *(pytest.param(kind, MANY, marks=pytest.mark.long) for kind in SIZES if kind != "small"),
    ],
)
def test_half_a_million_charts_of_one_kind(kind: str, count: int) -> None:
    vertices, charts = one_face_charts(boxes(np.full((count, 2), SIZES[kind]), 4))
    start = time.process_time()
    kept, layout = plan_layout(
        vertices, charts, [flat_photo(4000, 3000)], largest_side=4096, max_pages=2
    )
    assert time.process_time() - start < 60
    check(charts, kept, layout, 4096, 2)


def test_half_a_million_charts_of_all_sizes() -> None:
    size = np.random.default_rng(3).exponential(12.0, (MANY, 2)).clip(0, 2900)
    vertices, charts = one_face_charts(boxes(size, 4))
    kept, layout = plan_layout(vertices, charts, [flat_photo(4000, 3000)], largest_side=4096)
    check(charts, kept, layout, 4096, 1)


def test_a_chart_that_shows_more_than_its_cells_keeps_its_place() -> None:
    size = np.concatenate([np.full((50, 2), 40.0), np.full((2000, 2), 2.0)])
    vertices, charts = one_face_charts(boxes(size, 5))
    kept, layout = plan_layout(vertices, charts, [flat_photo(4000, 3000)], largest_side=1024)
    assert layout.scale == 1.0
    assert np.array_equal(np.flatnonzero(kept.chart_of_face >= 0), np.arange(50))
    assert layout.cells.slots >= 2000
    assert layout.width * layout.height < 50 * 46**2 + 2000 * CELL_PX**2 + 1024 * 16


def test_padding_widens_the_atlas_before_charts_shrink() -> None:
    vertices, charts = one_face_charts(boxes(np.full((50_000, 2), 9.0), 7))
    _, layout = plan_layout(vertices, charts, [flat_photo(4000, 3000)], largest_side=4096)
    assert layout.scale == 1.0


def test_a_second_page_where_one_would_hold_too_little() -> None:
    vertices, charts = one_face_charts(boxes(np.full((150, 2), 60.0), 6))
    photos = [flat_photo(4000, 3000)]
    _, one = plan_layout(vertices, charts, photos, largest_side=512)
    _, two = plan_layout(vertices, charts, photos, largest_side=512, max_pages=4)
    assert one.scale < 0.7
    assert two.scale >= 0.7
    assert one.height <= 512 < two.height <= 1024
    _, roomy = plan_layout(vertices, charts, photos, largest_side=1024, max_pages=4)
    assert roomy.scale > 0.7
    assert roomy.height <= 1024
