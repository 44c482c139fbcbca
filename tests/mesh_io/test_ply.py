"""Clouds and meshes come back as they were written."""

import numpy as np
import pytest
import trimesh

from insaat_cli.mesh_io.ply import (
    _header,
    read_classed_mesh,
    read_cloud,
    read_mesh,
    write_cloud,
    write_mesh,
)
from insaat_cli.mesh_io.point_cloud import Cloud


def test_cloud_and_back(tmp_path):
    rng = np.random.default_rng(0)
    cloud = Cloud(
        points=rng.normal(size=(50, 3)).astype(np.float32),
        normals=rng.normal(size=(50, 3)).astype(np.float32),
        colors=rng.integers(0, 256, (50, 3), np.uint8),
    )
    write_cloud(tmp_path / "cloud.ply", cloud)
    back = read_cloud(tmp_path / "cloud.ply")
    assert np.array_equal(back.points, cloud.points)
    assert np.array_equal(back.normals, cloud.normals)
    assert np.array_equal(back.colors, cloud.colors)
    loaded = trimesh.load(tmp_path / "cloud.ply")
    assert np.allclose(loaded.vertices, cloud.points)


def test_mesh_and_back(tmp_path):
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    write_mesh(tmp_path / "mesh.ply", vertices, faces)
    back = read_mesh(tmp_path / "mesh.ply")
    assert np.array_equal(back[0], vertices)
    assert np.array_equal(back[1], faces)
    assert len(trimesh.load(tmp_path / "mesh.ply", process=False).faces) == 2


def test_a_cut_off_file_is_noticed(tmp_path):
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    write_mesh(tmp_path / "mesh.ply", vertices, np.array([[0, 1, 2]] * 9, np.int32))
    raw = (tmp_path / "mesh.ply").read_bytes()
    (tmp_path / "mesh.ply").write_bytes(raw[:-20])
    with pytest.raises(ValueError, match="truncated"):
        read_mesh(tmp_path / "mesh.ply")


def test_classes_of_points_and_faces_come_back_and_older_files_have_none(tmp_path):
    points = np.zeros((3, 3), np.float32)
    cloud = Cloud(
        points=points,
        normals=points,
        colors=np.zeros((3, 3), np.uint8),
        completed=np.array([True, False, True]),
    )
    write_cloud(tmp_path / "cloud.ply", cloud)
    assert b"property uchar class" in (tmp_path / "cloud.ply").read_bytes()
    assert read_cloud(tmp_path / "cloud.ply").completed.tolist() == [True, False, True]
    before = np.zeros(3, [(n, "<f4") for n in ("x", "y", "z", "nx", "ny", "nz")]
                      + [(n, "u1") for n in ("red", "green", "blue")])  # fmt: skip
    (tmp_path / "old.ply").write_bytes(_header([("vertex", before)]) + before.tobytes())
    assert read_cloud(tmp_path / "old.ply").completed.tolist() == [False] * 3

    faces = np.array([[0, 1, 2], [2, 1, 0]], np.int32)
    write_mesh(tmp_path / "mesh.ply", points, faces)
    assert read_classed_mesh(tmp_path / "mesh.ply")[2] is None
    write_mesh(tmp_path / "mesh.ply", points, faces, np.array([2, 1], np.uint8))
    assert read_mesh(tmp_path / "mesh.ply")[1].tolist() == faces.tolist()
    assert read_classed_mesh(tmp_path / "mesh.ply")[2].tolist() == [2, 1]
    assert len(trimesh.load(tmp_path / "mesh.ply", process=False).faces) == 2
