"""From photos of a plane to its mesh, through the three stages as the runner calls them."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

from plane_scene import SLANTED, plane_scene

from insaat_cli.engine.ply import read_cloud, read_mesh
from insaat_cli.engine.views import Scene, View
from insaat_cli.errors import StageError
from insaat_cli.stages import dense
from insaat_cli.stages.dense import DenseOptions, make_depth_maps
from insaat_cli.stages.fuse import FuseOptions, fuse_depth_maps
from insaat_cli.stages.surface import SurfaceOptions, build_surface


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Photos on disk and a scene whose views bear their names."""
    folder = tmp_path_factory.mktemp("plane")
    scene, photos = plane_scene(SLANTED)
    views = []
    for index, (view, photo) in enumerate(zip(scene.views, photos, strict=True)):
        name = f"{index:05d}.png"
        cv2.imwrite(str(folder / name), photo)
        views.append(
            View(
                name=name,
                width=view.width,
                height=view.height,
                K=view.K,
                cam_from_world=view.cam_from_world,
            )
        )
    return folder, Scene(views=views, points=scene.points, seen=scene.seen)


@pytest.fixture(scope="module")
def meshed(work):
    folder, scene = work
    shares: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "load_scene", lambda model: scene)
        measured = make_depth_maps(
            folder, folder, folder / "depth", DenseOptions(), threads=2, progress=shares.append
        )
    fused = fuse_depth_maps(
        folder / "depth", folder, folder / "cloud.ply", FuseOptions(), threads=2
    )
    surface = build_surface(
        folder / "cloud.ply",
        folder / "depth",
        folder,
        folder / "mesh.ply",
        SurfaceOptions(),
        threads=2,
    )
    return folder, shares, measured, fused, surface


def test_every_photo_gets_a_depth_map_and_progress_is_told(meshed):
    folder, shares, measured, _, _ = meshed
    assert measured["depth_maps"] == 4
    assert measured["filled"] > 0.6
    assert shares == [0.25, 0.5, 0.75, 1.0]
    index = json.loads((folder / "depth" / "views.json").read_text())
    assert [view["name"] for view in index["views"]] == [f"{i:05d}.png" for i in range(4)]


def test_the_cloud_lies_on_the_plane_and_faces_the_cameras(meshed):
    folder, _, _, fused, _ = meshed
    cloud = read_cloud(folder / "cloud.ply")
    assert len(cloud.points) == fused["points"] > 5000
    off = np.abs(cloud.points @ SLANTED)
    assert np.median(off) < 0.004
    assert np.mean(off < 0.03) > 0.99
    assert np.median(cloud.normals @ SLANTED) > 0.98


def test_the_mesh_is_one_piece_on_the_plane(meshed):
    folder, _, _, _, surface = meshed
    vertices, faces = read_mesh(folder / "mesh.ply")
    assert len(faces) == surface["faces"] > 50
    assert surface["components"] == 1
    assert np.percentile(np.abs(vertices @ SLANTED), 95) < 0.02
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    assert np.mean(normal @ SLANTED > 0) > 0.98


def test_threads_do_not_change_the_depth(work, tmp_path):
    folder, scene = work
    depths = []
    for threads in (1, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dense, "load_scene", lambda model: scene)
            output = tmp_path / str(threads)
            make_depth_maps(folder, folder, output, DenseOptions(max_side=120), threads=threads)
        with np.load(output / "00002.npz") as data:
            depths.append(data["depth"])
    assert np.array_equal(*depths)


def test_photos_without_shared_points_are_an_expected_fault(work, tmp_path, monkeypatch):
    folder, scene = work
    lone = Scene(views=scene.views[:2], points=scene.points, seen=[np.arange(3), np.arange(3, 6)])
    monkeypatch.setattr(dense, "load_scene", lambda model: lone)
    with pytest.raises(StageError, match="no two photos"):
        make_depth_maps(folder, folder, tmp_path, DenseOptions())
