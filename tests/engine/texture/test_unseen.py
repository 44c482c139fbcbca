import numpy as np

from insaat_cli.engine.texture.unseen import spread_colors

from .conftest import square_grid


def test_colors_spread_evenly_between_the_known_sides() -> None:
    vertices, faces = square_grid(10)
    left = np.flatnonzero(vertices[:, 0] < -0.99)
    right = np.flatnonzero(vertices[:, 0] > 0.99)
    known = np.concatenate([left, right]).astype(np.int32)
    color = np.where(np.arange(len(known))[:, None] < len(left), 20.0, 220.0) * np.ones(3)
    spread = spread_colors(faces, len(vertices), known, color)
    rows = spread[:, 0].reshape(11, 11)
    assert np.all(np.diff(rows, axis=1) > 2)
    np.testing.assert_allclose(rows[5], np.linspace(20, 220, 11), atol=12)
    np.testing.assert_array_equal(spread[:, 0], spread[:, 2])


def test_a_piece_that_touches_nothing_known_takes_the_mean() -> None:
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    spread = spread_colors(faces[1:], 6, np.array([0, 1, 2]), np.full((3, 3), 90.0))
    np.testing.assert_allclose(spread[3:], 90.0)
