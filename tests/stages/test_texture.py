"""The texture stage on a ball with a COLMAP model and photos on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import trimesh
from PIL import Image
from tests.fakes.extremes import extremes

from insaat_cli.errors import StageError
from insaat_cli.mesh_io.ply import write_mesh
from insaat_cli.pipeline.stage_contract import Events, StageRequest
from insaat_cli.stages.texture import main

WIDTH, HEIGHT, FOCAL = 160, 120, 150.0


@pytest.fixture
def request_for_ball(tmp_path: Path) -> StageRequest:
    for name in ("undistort/images", "undistort/model", "surface", "out"):
        (tmp_path / name).mkdir(parents=True)
    trimesh.creation.icosphere(subdivisions=4).export(tmp_path / "surface" / "mesh.ply")
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        model="PINHOLE", width=WIDTH, height=HEIGHT,
        params=[FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2], camera_id=1,
    )  # fmt: skip
    model.add_camera_with_trivial_rig(camera)
    color = np.array([200, 90, 40], np.uint8)
    for number, angle in enumerate(np.radians([0, 60, 120, 180, 240, 300])):
        turn = np.array(
            [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        )
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(turn), np.array([0.0, 0, 4]))
        name = f"{number:05d}.png"
        image = pycolmap.Image(name=name, camera_id=1, image_id=number + 1)
        model.add_image_with_trivial_frame(image, pose)
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), color)).save(
            tmp_path / "undistort" / "images" / name
        )
    model.write(tmp_path / "undistort" / "model")
    return StageRequest(
        stage="texture",
        params={"size": 1024},
        inputs={name: tmp_path / name for name in ("undistort", "surface")},
        photos=tmp_path / "photos.json",
        output=tmp_path / "out",
        threads=2,
        memory_bytes=1 << 30,
    )


def test_the_ball_takes_the_photos_color_on_all_sides(request_for_ball: StageRequest) -> None:
    metrics = main(request_for_ball, Events())
    loaded = trimesh.load(request_for_ball.output / "model.glb", process=False).to_geometry()
    assert metrics["photos_used"] == 6
    assert len(loaded.faces) == metrics["faces"] == 5120
    np.testing.assert_allclose(np.linalg.norm(loaded.vertices, axis=1), 1.0, atol=1e-5)
    colors = loaded.visual.to_color().vertex_colors[:, :3].astype(int)
    assert np.abs(colors - [200, 90, 40]).max() < 12


def test_an_empty_surface_is_an_error(request_for_ball: StageRequest) -> None:
    mesh = request_for_ball.inputs["surface"] / "mesh.ply"
    write_mesh(mesh, np.eye(3, dtype=np.float32), np.zeros((0, 3), np.int32))
    with pytest.raises(StageError, match="surface is empty"):
        main(request_for_ball, Events())


@pytest.mark.parametrize(("name", "value"), extremes("texture"))
def test_ends_of_every_range(request_for_ball: StageRequest, name: str, value: float) -> None:
    metrics = main(replace(request_for_ball, params={"size": 512, name: value}), Events())
    assert metrics["photos_used"] == 6
