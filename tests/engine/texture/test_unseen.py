import numpy as np

from insaat_cli.engine.texture.unseen import CELL_PX, paint_cells, rows_for, spread_colours

from .conftest import square_grid


def test_colours_spread_evenly_between_the_known_sides() -> None:
    vertices, faces = square_grid(10)
    left = np.flatnonzero(vertices[:, 0] < -0.99)
    right = np.flatnonzero(vertices[:, 0] > 0.99)
    known = np.concatenate([left, right]).astype(np.int32)
    colour = np.where(np.arange(len(known))[:, None] < len(left), 20.0, 220.0) * np.ones(3)
    spread = spread_colours(faces, len(vertices), known, colour)
    rows = spread[:, 0].reshape(11, 11)
    assert np.all(np.diff(rows, axis=1) > 2)
    np.testing.assert_allclose(rows[5], np.linspace(20, 220, 11), atol=12)
    np.testing.assert_array_equal(spread[:, 0], spread[:, 2])


def test_a_piece_that_touches_nothing_known_takes_the_mean() -> None:
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    spread = spread_colours(faces[1:], 6, np.array([0, 1, 2]), np.full((3, 3), 90.0))
    np.testing.assert_allclose(spread[3:], 90.0)


def test_cells_show_the_corner_colours_at_their_corners() -> None:
    colours = np.random.default_rng(1).uniform(0, 255, (70, 3, 3))
    width = 64
    rows = rows_for(len(colours), width)
    texture = np.zeros((rows + 5, width, 3), np.uint8)
    texel = paint_cells(texture, colours, 5)
    pixel = texel.astype(int)
    assert pixel[..., 1].max() < rows + 5
    assert pixel[..., 1].min() == 5
    found = texture[pixel[..., 1], pixel[..., 0]]
    np.testing.assert_allclose(found, colours, atol=0.51)
    cells = {tuple(cell) for cell in (pixel[:, 0] // CELL_PX * CELL_PX).tolist()}
    assert len(cells) == len(colours)
