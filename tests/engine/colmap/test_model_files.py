"""Models and databases: what we write, COLMAP reads, and the other way round."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.colmap.database import (
    UNCALIBRATED,
    VERSION,
    copy_plain,
    image_ids_of,
    open_database,
    pair_id_of,
)
from insaat_cli.engine.colmap.model import Model
from insaat_cli.engine.colmap.model_files import (
    quaternion_of,
    read_model,
    rotation_of,
    write_model,
    write_text,
)
from insaat_cli.engine.sfm.bundle_adjustment import without_outliers
from insaat_cli.errors import StageError


@pytest.fixture
def theirs() -> pycolmap.Reconstruction:
    pycolmap.set_random_seed(1)
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig = 1, 1
    options.num_frames_per_rig, options.num_points3D = 5, 60
    return pycolmap.synthesize_dataset(options)


@pytest.fixture
def ours(theirs: pycolmap.Reconstruction, tmp_path: Path) -> Model:
    (tmp_path / "theirs").mkdir()
    theirs.write_binary(tmp_path / "theirs")
    return read_model(tmp_path / "theirs")


def agree(model: Model, other: pycolmap.Reconstruction) -> None:
    assert len(model.points) == other.num_points3D() > 0
    assert set(model.images) == set(other.reg_image_ids())
    for key, image in model.images.items():
        same = other.image(key)
        assert image.name == same.name
        np.testing.assert_allclose(image.cam_from_world, same.cam_from_world().matrix(), atol=1e-12)
        np.testing.assert_allclose(image.pixels, [p.xy for p in same.points2D])
        assert [i >= 0 for i in image.point_ids] == [p.has_point3D() for p in same.points2D]
    for row, key in enumerate(model.points.ids.tolist()):
        point = other.points3D[key]
        np.testing.assert_allclose(model.points.positions[row], point.xyz)
        seen = {(e.image_id, e.point2D_idx) for e in point.track.elements}
        assert set(zip(*(part.tolist() for part in model.points.track(row)), strict=True)) == seen
    for camera in model.cameras.values():
        assert other.cameras[camera.camera_id].model.name == camera.model
        np.testing.assert_allclose(camera.params, other.cameras[camera.camera_id].params)


def test_models_of_colmap_are_read(ours: Model, theirs: pycolmap.Reconstruction) -> None:
    agree(ours, theirs)
    theirs.update_point_3d_errors()
    assert ours.with_errors().mean_error_px() == pytest.approx(
        theirs.compute_mean_reprojection_error(), abs=1e-9
    )


@pytest.mark.parametrize("write", [write_model, write_text])
def test_colmap_reads_our_models(write: object, ours: Model, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    write(ours, tmp_path / "ours")  # type: ignore[operator]
    agree(ours, pycolmap.Reconstruction(tmp_path / "ours"))


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_files_that_were_cut_off_are_an_error(name: str, ours: Model, tmp_path: Path) -> None:
    path = tmp_path / "theirs" / name
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(StageError, match="cannot read the model"):
        read_model(tmp_path / "theirs")


def test_a_move_is_colmaps(ours: Model, theirs: pycolmap.Reconstruction) -> None:
    rotation = rotation_of(np.array([0.9, 0.1, -0.3, 0.2]))
    theirs.transform(pycolmap.Sim3d(2.5, pycolmap.Rotation3d(rotation), np.array([1.0, 2, 3])))
    agree_poses = ours.moved(2.5, rotation, np.array([1.0, 2, 3]))
    for key, image in agree_poses.images.items():
        np.testing.assert_allclose(image.center, theirs.image(key).projection_center(), atol=1e-9)
    assert agree_poses.with_errors().mean_error_px() == pytest.approx(
        ours.with_errors().mean_error_px(), abs=1e-9
    )


def test_outliers_go_and_tracks_follow(ours: Model) -> None:
    image = next(iter(ours.images.values()))
    mine = np.flatnonzero(ours.points.track_images == image.image_id)
    image.pixels[ours.points.track_pixels[mine[0]]] += 50.0
    kept = without_outliers(ours, 2.0, 0.0)
    assert len(kept.points.track_images) == len(ours.points.track_images) - 1
    linked = sum(int((one.point_ids >= 0).sum()) for one in kept.images.values())
    assert linked == len(kept.points.track_images)
    assert len(without_outliers(ours, 2.0, 179.0).points) == 0


def test_rotations_and_quaternions() -> None:
    for values in np.random.default_rng(2).normal(size=(20, 4)):
        quaternion = values / np.linalg.norm(values) * np.sign(values[0])
        np.testing.assert_allclose(quaternion_of(rotation_of(quaternion)), quaternion, atol=1e-12)


def test_colmap_reads_our_databases_and_we_theirs(tmp_path: Path) -> None:
    path = tmp_path / "database.db"
    points = np.random.default_rng(3).uniform(0, 500, (7, 4)).astype(np.float32)
    signs = np.arange(7 * 128, dtype=np.uint8).reshape(7, 128)
    camera = Camera(
        camera_id=3, model="SIMPLE_RADIAL", width=640, height=480, params=(700, 320, 240, 0)
    )
    with open_database(path) as store:
        store.write_camera(camera, focal_is_known=False)
        store.write_camera(camera, focal_is_known=True)
        for image_id in (1, 2):
            store.write_image(image_id, f"{image_id}.jpg", 3)
            store.write_features(image_id, points, signs)
        store.write_geometry(1, 2, UNCALIBRATED, np.array([[0, 1], [2, 3]]), np.eye(3))
    with pycolmap.Database.open(path) as read:
        assert read.read_camera(3).has_prior_focal_length
        np.testing.assert_array_equal(np.asarray(read.read_keypoints(1))[:, :4], points)
        np.testing.assert_array_equal(read.read_descriptors(2).data, signs)
        assert pair_id_of(2, 1) == pycolmap.image_pair_to_pair_id(1, 2)
        np.testing.assert_array_equal(read.read_two_view_geometry(1, 2).F, np.eye(3))
    copy_plain(path, tmp_path / "plain.db")  # COLMAP has brought the first one up to date
    with closing(sqlite3.connect(tmp_path / "plain.db")) as plain:
        assert plain.execute("PRAGMA user_version").fetchone() == (VERSION,)
    with open_database(tmp_path / "plain.db") as store:
        assert store.longest_sides() == {1: 640, 2: 640}
        assert store.inlier_counts() == {(1, 2): 2}
        np.testing.assert_array_equal(store.keypoints(2)[:, :2], points[:, :2])
    assert image_ids_of(pair_id_of(9, 4)) == (4, 9)
