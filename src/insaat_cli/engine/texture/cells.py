"""Faces in no chart: each has a cell of a few texels, below the charts.

A cell is a triangle of `CELL_PX` texels along two sides, corner colors at the texels' centres. It
needs no padding, so a face costs a tenth of what the smallest chart does. Where there are more
faces than cells, faces of nearly the same colors share one: any number of faces has a place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL_PX = 3
"""Side of a cell, in texels."""
CORNER_TEXELS = np.array([[0.5, 0.5], [CELL_PX - 0.5, 0.5], [0.5, CELL_PX - 0.5]])
INNER = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [0, 2]])
"""(6, 2) column and row of the texels within the triangle."""
INNER_WEIGHTS = np.stack([2 - INNER.sum(axis=1), INNER[:, 0], INNER[:, 1]], axis=1) / 2
"""(6, 3) share of each corner at these texels."""
COLOR_BITS = 6


@dataclass(frozen=True, kw_only=True)
class CellArea:
    """The rows of the atlas that hold the cells."""

    first_row: int
    rows: int
    width: int

    @property
    def slots(self) -> int:
        """How many cells there are."""
        return (self.width // CELL_PX) * (self.rows // CELL_PX)


def rows_for(faces: int, width: int) -> int:
    """Atlas rows that so many faces need for a cell each."""
    return -(-faces // (width // CELL_PX)) * CELL_PX


def paint_cells(
    texture: NDArray[np.uint8], colors: NDArray[np.float32], area: CellArea
) -> NDArray[np.float64]:
    """Paint the colors (F, 6, 3) of the faces' inner texels into their cells, in place.

    Returns the texel (F, 3, 2) of every face's corners.
    """
    slot = np.arange(len(colors))
    if len(colors) > area.slots:
        slot, colors = _shared(colors, area.slots)
    per_row = area.width // CELL_PX
    used = np.arange(len(colors))
    origin = np.stack([used % per_row, used // per_row], axis=1) * CELL_PX + [0, area.first_row]
    block = _blocks(colors)
    for row in range(CELL_PX):
        for column in range(CELL_PX):
            texture[origin[:, 1] + row, origin[:, 0] + column] = block[row][column]
    return np.asarray(origin[slot][:, None, :] + CORNER_TEXELS)


def _blocks(colors: NDArray[np.float32]) -> list[list[NDArray[np.uint8]]]:
    """The texels of the cells, by row and column, (F, 3) each.

    Beyond the diagonal the colors go on as they would on a plane, for bilinear sampling there.
    """
    a, b, c, d, e, f = np.moveaxis(colors, 1, 0)
    right, below = c + e - b, e + f - d
    rows = [[a, b, c], [d, e, right], [f, below, right + below - e]]
    return [[np.clip(np.rint(texel), 0, 255).astype(np.uint8) for texel in row] for row in rows]


def _shared(
    colors: NDArray[np.float32], slots: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Cell of every face, and the mean colors of each cell, for more faces than cells.

    Faces are ordered along a Z curve through the colors, so that like come to lie by like.
    """
    level = np.clip(colors.mean(axis=1), 0, 255).astype(np.int64) >> (8 - COLOR_BITS)
    key = np.zeros(len(colors), np.int64)
    for bit in range(COLOR_BITS):
        for channel in range(3):
            key |= (level[:, channel] >> bit & 1) << (3 * bit + channel)
    order = np.argsort(key, kind="stable")
    group = np.arange(len(colors)) * slots // len(colors)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(starts, append=len(colors))
    mean = np.add.reduceat(colors[order], starts, axis=0) / size[:, None, None]
    slot = np.empty(len(colors), np.int64)
    slot[order] = group
    return slot, mean.astype(np.float32)
