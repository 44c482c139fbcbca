"""A GLB opens again, here and in other programs, with the same colors at the same places."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from insaat_cli.engine.render.preview import render
from insaat_cli.mesh_io.glb_writer import glb_bytes
from insaat_cli.mesh_io.model import read_model
from insaat_cli.mesh_io.textured_mesh import TexturedMesh, read_glb, write_glb
from insaat_cli.mesh_io.usdz import usdz_bytes


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


@pytest.fixture
def paged() -> TexturedMesh:
    """Two squares side by side, one on a red page, the other on a lower, blue one."""
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    faces = np.array([[4, 5, 6], [0, 1, 2], [4, 6, 7], [0, 2, 3]], np.int32)
    red, blue = np.zeros((32, 32, 3), np.uint8), np.zeros((16, 32, 3), np.uint8)
    red[:], blue[:] = (250, 10, 10), (10, 10, 250)
    return TexturedMesh(
        vertices=np.concatenate([square, square + np.float32([1, 0, 0])]),
        uv=np.tile(square[:, :2], (2, 1)),
        faces=faces,
        texture=red,
        further_pages=(blue,),
        page_of_face=np.array([1, 0, 1, 0], np.uint8),
    )


def test_several_pages_are_several_materials(paged: TexturedMesh, tmp_path: Path) -> None:
    write_glb(paged, tmp_path / "m.glb")
    again = read_glb(tmp_path / "m.glb")
    assert [page.shape for page in again.pages] == [(32, 32, 3), (16, 32, 3)]
    assert again.page_of_face is not None
    for page, color in enumerate([[250, 10, 10], [10, 10, 250]]):
        assert np.abs(again.pages[page].reshape(-1, 3).astype(int) - color).max() < 12
        corners = again.vertices[again.faces_on(page)]
        np.testing.assert_array_equal(corners, paged.vertices[paged.faces_on(page)])

    loaded = trimesh.load(tmp_path / "m.glb", process=False)
    assert len(loaded.geometry) == 2
    for part in loaded.geometry.values():
        mean = part.visual.to_color().vertex_colors[:, :3].mean(axis=0)
        left = part.vertices[:, 0].mean() < 1
        assert np.abs(mean - ([250, 10, 10] if left else [10, 10, 250])).max() < 12


def test_a_model_of_two_pages_passes_the_check_and_keeps_its_parts(
    paged: TexturedMesh, tmp_path: Path
) -> None:
    write_glb(paged, tmp_path / "m.glb")
    model = read_model(tmp_path / "m.glb")
    assert [part.texture.size for part in model.parts if part.texture] == [(32, 32), (32, 16)]
    assert model.faces == 4
    packed = tmp_path / "packed.glb"
    packed.write_bytes(glb_bytes(model))
    assert len(read_model(packed).parts) == 2
    with zipfile.ZipFile(io.BytesIO(usdz_bytes(model))) as package:
        assert sum(name.endswith(".jpg") for name in package.namelist()) == 2


def test_a_picture_of_two_pages(paged: TexturedMesh) -> None:
    K = np.array([[60.0, 0, 60], [0, 60.0, 40], [0, 0, 1]])
    pose = np.array([[1.0, 0, 0, -1], [0, 1, 0, -0.5], [0, 0, 1, 1.5]])
    picture = render(paged, pose, K, 120, 80, threads=1).astype(int)
    assert np.abs(picture[40, 45] - [250, 10, 10]).max() < 5
    assert np.abs(picture[40, 75] - [10, 10, 250]).max() < 5


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.glb").write_bytes(b"solid of another kind" * 4)
    with pytest.raises(ValueError, match="not a GLB"):
        read_glb(tmp_path / "m.glb")
