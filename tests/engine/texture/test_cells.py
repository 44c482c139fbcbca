"""Cells hold any number of faces, and show their colors."""

from __future__ import annotations

import numpy as np
import pytest

from insaat_cli.engine.texture.bilinear import sample
from insaat_cli.engine.texture.cells import CELL_PX, INNER_WEIGHTS, CellArea, paint_cells, rows_for


def test_cells_show_the_colors_at_their_corners_and_between() -> None:
    colors = np.random.default_rng(1).uniform(0, 255, (70, 6, 3)).astype(np.float32)
    width = 64
    area = CellArea(first_row=5, rows=rows_for(len(colors), width), width=width)
    texture = np.zeros((area.rows + 5, width, 3), np.uint8)
    texel = paint_cells(texture, colors, area)
    assert texel.min(axis=(0, 1))[1] > 5
    assert texel.max(axis=(0, 1))[1] < area.rows + 5
    places = np.einsum("tk,fkx->ftx", INNER_WEIGHTS, texel)
    np.testing.assert_allclose(sample(texture, places), colors, atol=0.51)
    cells = {tuple(cell) for cell in (texel[:, 0] // CELL_PX * CELL_PX).tolist()}
    assert len(cells) == len(colors)


@pytest.mark.parametrize("slots_share", [0.5, 0.07])
def test_more_faces_than_cells_share_those_of_their_color(slots_share: float) -> None:
    shade = np.random.default_rng(2).uniform(10, 245, (3000, 1, 1))
    colors = np.broadcast_to(shade, (3000, 6, 3)).astype(np.float32)
    width = 96
    rows = int(3000 * slots_share / (width // CELL_PX)) * CELL_PX
    area = CellArea(first_row=0, rows=rows, width=width)
    assert area.slots < 3000
    texture = np.zeros((rows, width, 3), np.uint8)
    found = sample(texture, paint_cells(texture, colors, area))
    assert np.abs(found - colors[:, :3]).mean() < 3


def test_one_cell_for_all() -> None:
    texture = np.zeros((CELL_PX, CELL_PX, 3), np.uint8)
    colors = np.full((5000, 6, 3), 77.0, np.float32)
    area = CellArea(first_row=0, rows=CELL_PX, width=CELL_PX)
    texel = paint_cells(texture, colors, area)
    assert np.all(sample(texture, texel) == 77)
