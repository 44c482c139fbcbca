"""Closed bodies from shapes whose volume is known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from insaat_cli.errors import InsaatError
from insaat_cli.export.marching_tetrahedra import zero_surface
from insaat_cli.export.watertight import SolidOptions, is_watertight, make_solid
from insaat_cli.mesh_io.model import weld

CELLS = 64
SPHERE = trimesh.creation.icosphere(subdivisions=4)


def test_zero_surface_of_a_ball_is_closed_and_true() -> None:
    grid = np.indices((40, 44, 48)).transpose(1, 2, 3, 0) - [20, 22, 24]
    field = (12.3 - np.linalg.norm(grid, axis=3)).astype(np.float32)
    vertices, faces = zero_surface(field, 0.5, np.zeros(3))
    assert is_watertight(vertices, faces)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 6.15**3, rel=0.01)
    assert np.allclose(mesh.centroid, [10, 11, 12], atol=0.01)
    assert mesh.euler_number == 2


@pytest.mark.parametrize("seed", range(3))
def test_zero_surface_of_noise_is_closed(seed: int) -> None:
    """Noise holds every case of a cell; zeros at nodes are the hard ones."""
    field = np.random.default_rng(seed).integers(-2, 3, (14, 12, 10)).astype(np.float32)
    for axis in range(3):
        np.moveaxis(field, axis, 0)[[0, -1]] = -1
    vertices, faces = zero_surface(field, 1.0, np.zeros(3))
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_winding_consistent
    edges = np.sort(mesh.edges, axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts % 2 == 0).all()
    assert mesh.volume > 0


def solid(mesh: trimesh.Trimesh, **options: float | None) -> trimesh.Trimesh:
    body = make_solid(
        np.asarray(mesh.vertices), np.asarray(mesh.faces), SolidOptions(cells=CELLS, **options)
    )
    assert is_watertight(*weld(body.vertices, body.faces))
    made = trimesh.Trimesh(body.vertices, body.faces, process=False)
    assert body.volume == pytest.approx(made.volume, rel=1e-6)
    return made


def test_ball_with_its_lower_part_missing_gets_a_flat_floor() -> None:
    ball = SPHERE.copy()
    ball.apply_translation([3, 1, -2])
    ball.update_faces(ball.triangles_center[:, 1] > 0.4)
    made = solid(ball, floor=0.4)
    height = 1.6
    assert made.volume == pytest.approx(np.pi * height**2 * (3 - height) / 3, rel=0.02)
    assert made.bounds[0, 1] == pytest.approx(0.4, abs=1e-6)
    assert made.bounds[1] == pytest.approx([4, 2, -1], abs=0.02)


def test_holes_are_closed_where_the_surface_would_go_on() -> None:
    ball = SPHERE.copy()
    ball.apply_translation([0, 1, 0])
    hole = np.linalg.norm(ball.triangles_center - [0, 1.8, 0.6], axis=1) < 0.35
    ball.update_faces(~hole)
    made = solid(ball)
    assert made.volume == pytest.approx(4 / 3 * np.pi, rel=0.03)
    distance = np.linalg.norm(made.vertices - [0, 1, 0], axis=1)
    assert distance.max() < 1.03
    assert distance.min() > 0.9


def test_inner_pieces_and_floating_crumbs_are_gone() -> None:
    ball = SPHERE.copy()
    inner = trimesh.creation.icosphere(subdivisions=2, radius=0.3)
    inner.invert()
    crumb = trimesh.creation.icosphere(subdivisions=1, radius=0.06)
    crumb.apply_translation([0.8, 0.9, 0.8])
    made = solid(trimesh.util.concatenate([ball, inner, crumb]))
    assert made.body_count == 1
    assert made.volume == pytest.approx(4 / 3 * np.pi, rel=0.02)


def test_a_single_wall_becomes_thick_enough_to_print() -> None:
    size, steps = 2.0, 40
    x, y = np.meshgrid(np.linspace(0, size, steps), np.linspace(0, size, steps), indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(steps**2)], axis=1)
    at = np.arange(steps**2).reshape(steps, steps)
    a, b, c, d = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel(), at[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    made = solid(trimesh.Trimesh(vertices, faces, process=False))
    assert made.bounds[1, 2] < 0.06, "the side that was seen keeps its place"
    assert made.extents[:2] == pytest.approx([size, size], rel=0.06)
    assert made.extents[2] > 0.01 * size


def test_hollow_body_keeps_its_outside_and_can_be_drained() -> None:
    box = trimesh.creation.box((2, 1, 1)).subdivide().subdivide().subdivide()
    box.apply_translation([0, 0.5, 0])
    full = solid(box)
    assert full.volume == pytest.approx(2.0, rel=0.02)
    hollow = solid(box, wall=0.15)
    assert np.allclose(hollow.bounds, full.bounds, atol=0.02)
    assert hollow.volume == pytest.approx(2 - 1.7 * 0.7 * 0.7, rel=0.08)
    assert hollow.body_count == 1, "one shell: the inside is joined to the outside by the hole"
    with pytest.raises(InsaatError, match="would fill the whole model"):
        solid(box, wall=0.6)


def test_base_stands_under_the_body() -> None:
    ball = SPHERE.copy()
    ball.apply_translation([0, 0.9, 0])
    made = solid(ball, floor=0.0, base=0.2)
    assert made.bounds[0, 1] == pytest.approx(-0.2, abs=0.02)
    assert made.bounds[1, 1] == pytest.approx(1.9, abs=0.02)
    assert made.body_count == 1


def test_bodies_that_touch_in_a_point_stay_closed_in_a_file_of_places() -> None:
    """Two tetrahedra tip to tip: as one list of places they share a vertex, which is no edge; moved
    together along an edge they would share that."""
    from insaat_cli.export.watertight import _separated

    first = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    second = np.array([[0, 0, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1.0]])
    both = np.concatenate([first, second])
    joined = np.concatenate([faces, faces[:, ::-1] + 4])
    assert not is_watertight(*weld(both, joined[:, [0, 1, 2]])) or len(weld(both, joined)[0]) < 8
    apart = _separated(both.copy(), joined)
    assert len(weld(apart, joined)[0]) == 8
    assert np.abs(apart - both).max() < 1e-4


def test_max_faces_holds() -> None:
    assert len(solid(SPHERE, max_faces=800).faces) <= 800


def test_open_mesh_is_not_watertight() -> None:
    assert is_watertight(SPHERE.vertices, SPHERE.faces)
    assert not is_watertight(SPHERE.vertices, SPHERE.faces[1:])
    assert not is_watertight(SPHERE.vertices, SPHERE.faces[:, ::-1]), "inside out"
