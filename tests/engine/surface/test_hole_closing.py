"""Small holes are closed; open borders and free space are left alone."""

import numpy as np
import pytest
from tests.engine.plane_scene import SLANTED, camera, true_depth

from insaat_cli.engine.surface.hole_closing import (
    Oriented,
    closed_surface,
    free_space,
    in_photo,
    surrounded,
)
from insaat_cli.engine.surface.implicit_surface import extract_surface

CELL = 0.02


def flat_square(hole_radius: float) -> Oriented:
    """A square of side 2 in z = 0 with a round hole in the middle."""
    x, y = np.meshgrid(np.arange(-1, 1, CELL), np.arange(-1, 1, CELL))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1).astype(np.float32)
    points = points[np.hypot(points[:, 0], points[:, 1]) > hole_radius]
    return Oriented(points=points, normals=np.tile(np.float32([0, 0, 1]), (len(points), 1)))


def nothing_free(points):
    return np.zeros(len(points), bool)


def around_middle(vertices):
    return np.count_nonzero(np.hypot(vertices[:, 0], vertices[:, 1]) < 0.05)


def test_a_sphere_is_closed_and_outward():
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(40_000, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    surface = extract_surface(normals, normals, np.ones(40_000, np.float32), 0.03)
    assert np.max(np.abs(np.linalg.norm(surface.vertices, axis=1) - 1)) < 2e-3
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    assert np.all(np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) >= 0)
    assert np.all(np.einsum("ij,ij->i", surface.normals, surface.vertices) > 0.99)
    edges = np.sort(surface.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert np.all(np.unique(edges, axis=0, return_counts=True)[1] == 2)


@pytest.mark.parametrize(("levels", "closed"), [(0, False), (3, True)])
def test_a_hole_is_closed_from_coarse_to_fine(levels, closed):
    surface = closed_surface(flat_square(0.12), CELL, levels, nothing_free)
    assert (around_middle(surface.vertices) > 0) == closed
    assert np.max(np.abs(surface.vertices[:, 2])) < 1e-3
    assert np.max(np.abs(surface.vertices[:, :2])) < 1 + 3 * CELL, "the border must stay"


def test_a_hole_that_views_saw_through_stays_open():
    surface = closed_surface(flat_square(0.12), CELL, 3, lambda points: np.ones(len(points), bool))
    assert around_middle(surface.vertices) == 0


def test_surrounded_tells_a_hole_from_a_border():
    square = flat_square(0.1)
    points = np.float32([[0, 0, 0], [1.1, 0, 0], [5, 5, 5]])
    normals = np.tile(np.float32([0, 0, 1]), (3, 1))
    assert surrounded(points, normals, square.points, 0.25).tolist() == [True, False, False]


def test_free_space_needs_several_views():
    views = [camera((x, 0.0, -3.0), (0.0, 0.0, 0.0)) for x in (-0.3, 0.0, 0.3)]
    maps = [(view, true_depth(view, SLANTED).astype(np.float32)) for view in views]
    in_front, on, behind = -1.0 * np.array([0, 0, 1.0]), np.zeros(3), np.array([0, 0, 1.0])
    points = np.float32([in_front, on, behind])
    assert free_space(points, maps, 2).tolist() == [True, False, False]
    assert not free_space(points, maps[:1], 2).any()


def test_only_what_a_photo_would_show_stands_at_its_lens():
    view = camera((0.0, 0.0, -3.0), (0.0, 0.0, 0.0))
    at_lens, beside, far, behind = [0, 0, -2.9], [0.3, 0, -2.9], [0, 0, 0], [0, 0, -3.1]
    points = np.float32([at_lens, beside, far, behind])
    assert in_photo(points, view, nearer_than=0.5).tolist() == [True, False, False, False]
