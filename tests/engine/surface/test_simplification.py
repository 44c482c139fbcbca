"""Fewer faces without moving the surface, its border, or its sides."""

from __future__ import annotations

import numpy as np
import pytest

from insaat_cli.engine.surface import simplification
from insaat_cli.engine.surface.mesh_cleaning import face_areas
from insaat_cli.engine.surface.simplification import fewer_faces


def bumpy_square(steps: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Flat but for one bump, and open all around."""
    x, y = np.meshgrid(np.linspace(0, 1, steps), np.linspace(0, 1, steps), indexing="ij")
    z = 0.1 * np.exp(-60 * ((x - 0.3) ** 2 + (y - 0.6) ** 2))
    at = np.arange(steps**2).reshape(steps, steps)
    a, b, c, d = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel(), at[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32), faces.astype(np.int32)


@pytest.mark.parametrize("own", [False, True])
def test_the_surface_stays_where_it_was(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if own:
        monkeypatch.setattr(simplification, "find_spec", lambda name: None)
    vertices, faces = bumpy_square()
    fewer_vertices, fewer = fewer_faces(vertices, faces, 1200, threads=1)
    assert 600 < len(fewer) <= 1200
    assert len(np.unique(fewer)) == len(fewer_vertices)
    assert fewer_vertices.min(axis=0)[:2] == pytest.approx([0, 0], abs=1e-3)
    assert fewer_vertices.max(axis=0) == pytest.approx([1, 1, 0.1], abs=5e-3)
    before, after = face_areas(vertices, faces).sum(), face_areas(fewer_vertices, fewer).sum()
    assert after == pytest.approx(before, rel=2e-3)
    a, b, c = (fewer_vertices[fewer[:, k]] for k in range(3))
    assert np.all(np.cross(b - a, c - a)[:, 2] > 0)
    # The bump keeps its faces, the flat parts lose theirs.
    middle = fewer_vertices[fewer].mean(axis=1)
    on_bump = np.hypot(middle[:, 0] - 0.3, middle[:, 1] - 0.6) < 0.2
    assert on_bump.mean() > (0.13 if own else 0.25)  # of the area, it is 0.126


def test_few_faces_are_left_alone() -> None:
    vertices, faces = bumpy_square(8)
    same, all_faces = fewer_faces(vertices, faces, 1000, threads=1)
    assert np.array_equal(same, vertices)
    assert np.array_equal(all_faces, faces)
