"""Packed charts do not overlap, and keep their distance."""

from __future__ import annotations

import numpy as np
import pytest

from insaat_cli.engine.texture.packing import COLUMN_PX, chart_outlines, pack


def _triangles(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Charts of two triangles each, of all sizes, anywhere in their photos."""
    rng = np.random.default_rng(8)
    center = rng.uniform(100, 900, (count, 1, 2))
    points = center + rng.exponential(25, (count, 1, 1)) * rng.uniform(-1, 1, (count, 4, 2))
    corners = np.arange(4 * count).reshape(-1, 4)[:, [0, 1, 2, 1, 2, 3]].reshape(-1, 3)
    return points.reshape(-1, 2), corners.astype(np.int32), np.repeat(np.arange(count), 2)


@pytest.mark.parametrize("padding", [1, 3])
def test_charts_stay_apart_by_twice_the_padding(padding: int) -> None:
    count, width = 300, 512
    points, corners, chart_of_face = _triangles(count)
    outlines = chart_outlines(points, corners, chart_of_face, count, padding)
    place = pack(outlines, width, 4096)
    assert place is not None
    height = int((place[:, 1] + outlines.height).max())

    owner = np.full((height, width), -1)
    moved = points + np.repeat(place - outlines.origin, 4, axis=0)
    for corner, chart in zip(corners, chart_of_face, strict=True):
        triangle = moved[corner]
        # Every texel within `padding` of one that the triangle touches.
        low = np.floor(triangle.min(axis=0)).astype(int) - padding
        high = np.floor(triangle.max(axis=0)).astype(int) + padding + 1
        assert low.min() >= 0
        assert high[0] <= width
        assert high[1] <= height
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        near = _distance(np.stack([x, y], -1) + 0.5, triangle) <= padding
        cell = owner[low[1] : high[1], low[0] : high[0]]
        assert np.all((cell[near] == -1) | (cell[near] == chart))
        cell[near] = chart
    boxes = (np.diff(outlines.start) * COLUMN_PX * outlines.height).sum()
    assert width * height < 1.25 * boxes


def _distance(points: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """Lower bound of the distance of points to a triangle: to its three lines, from outside."""
    (ab_x, ab_y), (ac_x, ac_y) = triangle[1:] - triangle[0]
    if ab_x * ac_y < ab_y * ac_x:
        triangle = triangle[::-1]
    outside = []
    for a, b in zip(triangle, np.roll(triangle, -1, axis=0), strict=True):
        side = (b - a) / max(np.linalg.norm(b - a), 1e-9)
        outside.append(-(side[0] * (points[..., 1] - a[1]) - side[1] * (points[..., 0] - a[0])))
    return np.max(outside, axis=0)


def test_a_chart_wider_than_the_image_is_refused() -> None:
    points = np.array([[0.0, 0], [600, 0], [0, 10]])
    outlines = chart_outlines(points, np.array([[0, 1, 2]], np.int32), np.array([0]), 1, 2)
    with pytest.raises(ValueError, match="wider"):
        pack(outlines, 512, 512)


def test_no_chart_lies_across_the_end_of_a_page() -> None:
    count, width, page_height = 300, 256, 300
    points, corners, chart_of_face = _triangles(count)
    outlines = chart_outlines(points, corners, chart_of_face, count, 2)
    assert pack(outlines, width, page_height, pages=2) is None
    place = pack(outlines, width, page_height, pages=20)
    assert place is not None
    page = place[:, 1] // page_height
    assert page.max() >= 2
    assert np.all(page == (place[:, 1] + outlines.height - 1) // page_height)
