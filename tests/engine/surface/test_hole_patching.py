"""Small open loops are closed with the least area; wide ones and free space stay open."""

from __future__ import annotations

import numpy as np
import trimesh

from insaat_cli.engine.surface.hole_patching import (
    boundary_loops,
    close_small_holes,
    min_area_patch,
)


def nothing_is_free(points):
    return np.zeros(len(points), bool)


def everything_is_free(points):
    return np.ones(len(points), bool)


def sphere_with_holes(*centres: tuple[float, float, float], radius: float):
    """A unit sphere without the faces nearer than `radius` to one of `centres`."""
    mesh = trimesh.creation.icosphere(subdivisions=4)
    middle = mesh.triangles_center
    keep = np.ones(len(middle), bool)
    for centre in centres:
        keep &= np.linalg.norm(middle - centre, axis=1) > radius
    return mesh.vertices.astype(np.float32), mesh.faces[keep].astype(np.int32)


def test_holes_of_a_sphere_are_closed_with_the_right_winding() -> None:
    vertices, faces = sphere_with_holes((1, 0, 0), (0, 0, 1), radius=0.2)
    assert len(boundary_loops(faces)) == 2
    closed = close_small_holes(vertices, faces, 0.6, nothing_is_free)
    mesh = trimesh.Trimesh(vertices, closed)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    # A cap of radius 0.2 cut flat takes less than one percent of the volume.
    assert 0.98 * 4 / 3 * np.pi < mesh.volume < 4 / 3 * np.pi


def test_holes_that_meet_in_one_vertex_are_closed() -> None:
    vertices, faces = sphere_with_holes(radius=0.0)
    middle = int(np.argmax(vertices[:, 0]))
    around = np.flatnonzero((faces == middle).any(axis=1))
    order = np.argsort(
        np.arctan2(*(vertices[faces[around]].mean(axis=1) - vertices[middle])[:, 1:].T)
    )
    # Two faces that touch only in the vertex: the border passes it twice.
    open_ = np.delete(faces, around[order[[0, len(around) // 2]]], axis=0)
    assert sorted(len(loop) for loop in boundary_loops(open_)) == [3, 3]
    closed = close_small_holes(vertices, open_, 0.6, nothing_is_free)
    mesh = trimesh.Trimesh(vertices, closed)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent


def test_wide_holes_stay_open() -> None:
    vertices, faces = sphere_with_holes((1, 0, 0), radius=0.2)
    assert len(close_small_holes(vertices, faces, 0.1, nothing_is_free)) == len(faces)


def test_free_space_stays_open() -> None:
    vertices, faces = sphere_with_holes((1, 0, 0), radius=0.2)
    assert len(close_small_holes(vertices, faces, 0.6, everything_is_free)) == len(faces)


def test_closed_mesh_is_left_alone() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=2)
    faces = mesh.faces.astype(np.int32)
    assert boundary_loops(faces) == []
    assert close_small_holes(mesh.vertices.astype(np.float32), faces, 9.0, nothing_is_free) is faces


def test_patch_has_the_least_area() -> None:
    # A square bent along one diagonal: the other diagonal would give a larger patch.
    ring = np.array([[0, 0, 0], [1, 0, 0.5], [1, 1, 0], [0, 1, 0.5]], float)
    triangles = min_area_patch(ring)
    area = trimesh.triangles.area(ring[triangles]).sum()
    other = trimesh.triangles.area(ring[[[0, 1, 2], [0, 2, 3]]]).sum()
    alternative = trimesh.triangles.area(ring[[[1, 2, 3], [1, 3, 0]]]).sum()
    assert area == min(other, alternative)


def test_patch_of_a_crack_is_a_strip() -> None:
    x = np.linspace(0, 10, 21)
    lower = np.stack([x, np.zeros(21), np.zeros(21)], 1)
    upper = np.stack([x[::-1], np.full(21, 0.1), np.zeros(21)], 1)
    ring = np.concatenate([lower, upper])
    triangles = min_area_patch(ring)
    assert len(triangles) == len(ring) - 2
    np.testing.assert_allclose(trimesh.triangles.area(ring[triangles]).sum(), 1.0, rtol=1e-9)
