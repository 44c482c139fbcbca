"""What the viewer takes from a result folder, and what it does not believe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from insaat_cli.errors import UsageError
from insaat_cli.viewer.page import single_file
from insaat_cli.viewer.scene import read_scene
from tests.viewer.box_scene import CAMERAS, PHOTO_SIZE, orbit_camera


def test_cameras_look_through_their_corners(result: Path) -> None:
    scene = read_scene(result)
    assert len(scene.cameras) == CAMERAS
    camera, truth = scene.cameras[2], orbit_camera(2)
    assert np.allclose(camera.center, truth["center"], atol=1e-5)
    middle = np.mean(camera.corners, axis=0)
    assert np.allclose(middle, camera.forward, atol=1e-5)
    upper_left, _, lower_right, _ = (np.array(corner) for corner in camera.corners)
    assert upper_left[1] > lower_right[1], "the first corner is the upper one"
    assert camera.fov_y_deg == pytest.approx(2 * np.degrees(np.arctan(PHOTO_SIZE[1] / 2 / 300)))


def test_a_photo_path_cannot_leave_the_workspace(result: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "stages" / "resize" / "images").mkdir(parents=True)
    (folder / "model.glb").write_bytes((result / "model.glb").read_bytes())
    (folder / "cameras.json").write_text(json.dumps({"images": [orbit_camera(0)]}))
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    listed = {"images": [{"name": "../../../../secret.jpg", "source": orbit_camera(0)["name"]}]}
    (folder / "stages" / "resize" / "images.json").write_text(json.dumps(listed))
    assert read_scene(folder).cameras[0].photo is None


@pytest.mark.parametrize(
    "cameras", ["[", '{"images": [{"name": "a"}]}', '{"images": 7}', '{"other": []}']
)
def test_broken_cameras_are_an_expected_fault(result: Path, tmp_path: Path, cameras: str) -> None:
    (tmp_path / "model.glb").write_bytes((result / "model.glb").read_bytes())
    (tmp_path / "cameras.json").write_text(cameras)
    with pytest.raises(UsageError, match=r"cameras\.json"):
        read_scene(tmp_path)


def test_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model\.glb"):
        read_scene(tmp_path)
    with pytest.raises(UsageError, match="file or folder not found"):
        read_scene(tmp_path / "absent.glb")


def test_names_stay_data_in_the_single_file(result: Path, tmp_path: Path) -> None:
    folder = tmp_path / "</title><script>alert(1)"
    folder.mkdir(parents=True)
    (folder / "model.glb").write_bytes((result / "model.glb").read_bytes())
    image = {**orbit_camera(0), "name": "</script><script>alert(2)</script><!--script-->"}
    (folder / "cameras.json").write_text(json.dumps({"images": [image]}))
    page = single_file(read_scene(folder))
    assert "<script>alert" not in page
    assert page.count("<script") == 3
    assert "unsafe" not in page[: page.index("<style>")]
