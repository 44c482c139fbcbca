"""A GLB opens again, here and in other programs, with the same colors at the same places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from insaat_cli.mesh_io.textured_mesh import TexturedMesh, read_glb, write_glb


@pytest.fixture
def mesh() -> TexturedMesh:
    texture = np.zeros((32, 64, 3), np.uint8)
    texture[:16, :32], texture[:16, 32:] = (250, 10, 10), (10, 250, 10)
    texture[16:, :32], texture[16:, 32:] = (10, 10, 250), (240, 240, 240)
    uv = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]], np.float32)
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.5]], np.float32)
    faces = np.array([[0, 1, 2], [1, 3, 2]], np.int32)
    return TexturedMesh(vertices=vertices, uv=uv, faces=faces, texture=texture)


def test_trimesh_reads_the_same_colors(mesh: TexturedMesh, tmp_path: Path) -> None:
    write_glb(mesh, tmp_path / "m.glb", jpeg_quality=95)
    loaded = trimesh.load(tmp_path / "m.glb", process=False).to_geometry()
    np.testing.assert_allclose(loaded.vertices, mesh.vertices)
    np.testing.assert_array_equal(loaded.faces, mesh.faces)
    colors = loaded.visual.to_color().vertex_colors[:, :3].astype(int)
    expected = [[250, 10, 10], [10, 250, 10], [10, 10, 250], [240, 240, 240]]
    assert np.abs(colors - expected).max() < 12


def test_it_reads_its_own_file(mesh: TexturedMesh, tmp_path: Path) -> None:
    write_glb(mesh, tmp_path / "m.glb")
    again = read_glb(tmp_path / "m.glb")
    np.testing.assert_array_equal(again.vertices, mesh.vertices)
    np.testing.assert_array_equal(again.uv, mesh.uv)
    np.testing.assert_array_equal(again.faces, mesh.faces)
    assert again.texture.shape == mesh.texture.shape


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.glb").write_bytes(b"solid of another kind" * 4)
    with pytest.raises(ValueError, match="not a GLB"):
        read_glb(tmp_path / "m.glb")
