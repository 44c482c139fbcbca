"""Fewer faces, the same surface, the same texture on it."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from insaat_cli.engine.surface.edge_collapse import collapse
from insaat_cli.mesh_io.model import weld


def bumpy_sheet(steps: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A height field with texture coordinates (x, y), split along x = 0.5 by a texture seam."""
    x, y = np.meshgrid(np.linspace(0, 1, steps), np.linspace(0, 1, steps), indexing="ij")
    z = 0.05 * np.exp(-40 * ((x - 0.3) ** 2 + (y - 0.6) ** 2))
    vertices = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    at = np.arange(steps**2).reshape(steps, steps)
    a, b, c, d = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel(), at[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    right = vertices[faces].mean(axis=1)[:, 0] > vertices[at[steps // 2, 0], 0]
    faces[right] += steps**2
    uv = np.concatenate([vertices[:, :2], vertices[:, :2] + [2, 0]])
    return np.concatenate([vertices, vertices]), uv, faces


def test_texture_stays_where_it_was_and_the_seam_stays_closed() -> None:
    vertices, uv, faces = bumpy_sheet()
    fewer = collapse(vertices, uv, faces, 1500)
    assert 500 < len(fewer) <= 1500
    middles = vertices[fewer].mean(axis=1)
    shown = uv[fewer].mean(axis=1) % 2
    assert np.abs(shown - middles[:, :2]).max() < 1e-9
    truth = 0.05 * np.exp(-40 * ((middles[:, 0] - 0.3) ** 2 + (middles[:, 1] - 0.6) ** 2))
    assert np.abs(middles[:, 2] - truth).max() < 0.003
    mesh = trimesh.Trimesh(*weld(vertices, fewer), process=False)
    assert mesh.area == pytest.approx(trimesh.Trimesh(vertices, faces).area, rel=0.002)
    assert len(mesh.outline().entities) == 1, "one border and no crack along the seam"
    normals = mesh.face_normals
    assert normals[:, 2].min() > 0.5, "nothing has turned over"


def test_closed_body_stays_closed() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    vertices, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    fewer = collapse(vertices, np.zeros((len(vertices), 2)), faces, 600)
    mesh = trimesh.Trimesh(*weld(vertices, fewer), process=False)
    assert len(fewer) <= 600
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(ball.volume, rel=0.04)


def test_enough_is_enough() -> None:
    vertices, uv, faces = bumpy_sheet(20)
    assert collapse(vertices, uv, faces, 10_000) is not None
    assert len(collapse(vertices, uv, faces, 10_000)) == len(faces)
