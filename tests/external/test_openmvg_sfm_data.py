"""Scenes of OpenMVG: read, written, and turned into COLMAP models and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from insaat_cli.errors import StageError
from insaat_cli.external.openmvg import explained_share, pair_mode
from insaat_cli.external.openmvg_matches import count_features, read_matches
from insaat_cli.external.openmvg_sfm_data import (
    Intrinsic,
    Landmark,
    Pose,
    SfmData,
    View,
    read_sfm_data,
    write_sfm_data,
)
from insaat_cli.external.openmvg_to_colmap import model_of, scene_of

RADIAL = Intrinsic(
    kind="pinhole_radial_k3",
    width=640,
    height=480,
    focal_px=600.0,
    principal_point=(321.0, 238.0),
    distortion=(-0.1, 0.05, 0.01),
)
BROWN = replace(RADIAL, kind="pinhole_brown_t2", distortion=(-0.1, 0.05, 0.01, 2e-3, -3e-3))
ONE = replace(RADIAL, kind="pinhole_radial_k1", distortion=(-0.1,))
PLAIN = replace(RADIAL, kind="pinhole", distortion=())
KINDS = [RADIAL, BROWN, ONE, PLAIN]


def project(camera: Intrinsic, points: np.ndarray) -> np.ndarray:
    """Pixels of camera-frame points, by the formulas in OpenMVG's documentation of its cameras."""
    x, y = (points[:, :2] / points[:, 2:]).T
    r2 = x * x + y * y
    k = [*camera.distortion, 0, 0, 0][:3]
    t1, t2 = camera.distortion[3:5] if len(camera.distortion) == 5 else (0.0, 0.0)
    radial = 1 + k[0] * r2 + k[1] * r2**2 + k[2] * r2**3
    u = x * radial + t2 * (r2 + 2 * x * x) + 2 * t1 * x * y
    v = y * radial + t1 * (r2 + 2 * y * y) + 2 * t2 * x * y
    return camera.focal_px * np.stack([u, v], 1) + np.array(camera.principal_point)


def synthetic(camera: Intrinsic) -> SfmData:
    generator = np.random.default_rng(4)
    points = generator.uniform(-1, 1, (40, 3)) + np.array([0.0, 0.0, 5.0])
    poses = {
        0: Pose(rotation=np.eye(3), center=np.zeros(3)),
        2: Pose(
            rotation=pycolmap.Rotation3d(np.array([0.0, 0.1, 0.05])).matrix(),
            center=np.array([1.0, 0.1, 0.0]),
        ),
    }
    pixels = {
        view: project(camera, (points - pose.center) @ pose.rotation.T)
        for view, pose in poses.items()
    }
    views = {
        key: View(name=f"{key:05d}.jpg", width=640, height=480, intrinsic=key % 2)
        for key in range(3)
    }
    return SfmData(
        images="/photos",
        views=views,
        intrinsics={0: camera, 1: PLAIN},
        poses=poses,
        points={
            index: Landmark(
                position=points[index],
                seen={v: (index, *pixels[v][index].tolist()) for v in poses},
            )
            for index in range(len(points))
        },
    )


@pytest.mark.parametrize("camera", KINDS, ids=lambda camera: camera.kind)
def test_a_scene_survives_writing(camera: Intrinsic, tmp_path: Path) -> None:
    scene = synthetic(camera)
    write_sfm_data(scene, tmp_path / "scene.json")
    again = read_sfm_data(tmp_path / "scene.json")
    assert (again.views, again.intrinsics, again.images) == (
        scene.views,
        scene.intrinsics,
        "/photos",
    )
    assert np.array_equal(again.poses[2].rotation, scene.poses[2].rotation)
    assert again.points[7].seen == scene.points[7].seen


@pytest.mark.parametrize("camera", KINDS, ids=lambda camera: camera.kind)
def test_colmap_projects_as_openmvg_does(camera: Intrinsic) -> None:
    model = model_of(synthetic(camera))
    assert len(model.images) == 2
    assert len(model.points) == 40
    assert model.mean_error_px() < 1e-9


@pytest.mark.parametrize("camera", KINDS, ids=lambda camera: camera.kind)
def test_there_and_back(camera: Intrinsic) -> None:
    scene = synthetic(camera)
    back = scene_of(model_of(scene), scene)
    assert set(back.views) == {0, 2}
    assert back.intrinsics[0].kind == camera.kind
    assert back.intrinsics[0].principal_point == pytest.approx(camera.principal_point)
    assert back.intrinsics[0].distortion == pytest.approx(camera.distortion)
    for view, pose in scene.poses.items():
        assert back.poses[view].rotation == pytest.approx(pose.rotation)
        assert back.poses[view].center == pytest.approx(pose.center)
    places = {tuple(np.round(p.position, 9)): p.seen for p in back.points.values()}
    for point in scene.points.values():
        seen = places[tuple(np.round(point.position, 9))]
        for view, (_, x, y) in point.seen.items():
            assert seen[view][1:] == pytest.approx((x, y))


def test_a_file_that_is_no_scene(tmp_path: Path) -> None:
    path = tmp_path / "scene.json"
    for text in ("", "{}", '{"views": [{}], "intrinsics": [], "root_path": ""}'):
        path.write_text(text)
        with pytest.raises(StageError, match=r"cannot read scene\.json"):
            read_sfm_data(path)


def matches_bytes(pairs: dict[tuple[int, int], list[tuple[int, int]]]) -> bytes:
    data = b"\x01" + np.array([len(pairs)], "<u8").tobytes()
    for (first, second), found in pairs.items():
        data += np.array([first, second], "<u4").tobytes()
        data += np.array([len(found)], "<u8").tobytes() + np.array(found, "<u4").tobytes()
    return data


def test_matches_and_what_a_scene_makes_of_them(tmp_path: Path) -> None:
    path = tmp_path / "matches.bin"
    half_wrong = [(i, i) for i in range(20)] + [(i, 39 - i) for i in range(20)]
    path.write_bytes(matches_bytes({(0, 2): half_wrong, (0, 1): [(0, 0)]}))
    matches = read_matches(path)
    assert matches[0, 2].tolist() == [list(pair) for pair in half_wrong]
    assert explained_share(synthetic(PLAIN), matches) == 0.5
    assert explained_share(synthetic(PLAIN), {}) == 0.0
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StageError, match="cannot read"):
        read_matches(path)


def test_features_are_counted_and_pairs_chosen(tmp_path: Path) -> None:
    (tmp_path / "00000.feat").write_text("1 2 3 4\n5 6 7 8\n")
    (tmp_path / "00001.feat").write_text("")
    assert count_features(tmp_path) == {"00000": 2, "00001": 0}
    assert pair_mode("AUTO", 120) == "EXHAUSTIVE"
    assert pair_mode("AUTO", 121) == "CONTIGUOUS"
    assert pair_mode("EXHAUSTIVE", 500) == "EXHAUSTIVE"
