"""Meshes of solids whose surface is known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from insaat_cli.scenes.meshing import mesh_of
from insaat_cli.scenes.solids import body_of, box, ellipsoid, round_cone

LOWER, UPPER = np.full(3, -0.75), np.full(3, 0.75)


def test_sphere_is_closed_round_and_outward() -> None:
    body = body_of([ellipsoid((0.05, 0, 0), (0.5, 0.5, 0.5))], relief=0, relief_frequency=1, seed=0)
    vertices, faces = mesh_of(body.distance, LOWER, UPPER, 0.04)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.125, rel=0.01)
    radii = np.linalg.norm(vertices - [0.05, 0, 0], axis=1)
    np.testing.assert_allclose(radii, 0.5, atol=1e-4)


def test_carving_takes_away_and_joining_adds() -> None:
    block = box((0, 0, 0), (0.8, 0.6, 0.4))
    hole = box((0, 0, 0), (0.2, 0.2, 1.0), carve=True)
    body = body_of([block, hole], relief=0, relief_frequency=1, seed=0)
    inside = body.distance(np.array([[0.3, 0, 0], [0, 0, 0], [0.6, 0, 0]])) < 0
    assert inside.tolist() == [True, False, False]
    vertices, faces = mesh_of(body.distance, LOWER, UPPER, 0.02)
    volume = trimesh.Trimesh(vertices, faces, process=False).volume
    assert volume == pytest.approx(0.8 * 0.6 * 0.4 - 0.2 * 0.2 * 0.4, rel=0.03)


def test_far_parts_are_skipped_without_a_trace() -> None:
    near = round_cone((0, 0, 0), (0.2, 0, 0), (0.1, 0.05), blend=0.05)
    far = ellipsoid((0.6, 0, 0), (0.1, 0.1, 0.1), blend=0.05)
    points = np.random.default_rng(1).uniform(-0.7, 0.7, (500, 3))
    both = body_of([near, far], relief=0, relief_frequency=1, seed=0).distance(points)
    alone = [
        body_of([part], relief=0, relief_frequency=1, seed=0).distance(points)
        for part in (near, far)
    ]
    apart = np.abs(alone[0] - alone[1]) > 0.06
    np.testing.assert_allclose(both[apart], np.minimum(*alone)[apart], atol=1e-12)
