"""What export writes opens again, with the same shape and colors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from insaat_cli.errors import StageError, UsageError
from insaat_cli.export.export_model import ExportOptions, export
from insaat_cli.mesh_io.formats import MeshFormat, write_model
from insaat_cli.mesh_io.model import read_model
from insaat_cli.mesh_io.textured_mesh import TexturedMesh, write_glb
from insaat_cli.pipeline.stage_contract import Events, StageRequest
from insaat_cli.stages.export import check_opens, main, parse_formats

RED, BLUE = (240, 20, 20), (20, 20, 240)


@pytest.fixture
def request_for(tmp_path: Path) -> Any:
    """A request over inputs that hold a plate, left half red, right half blue."""
    for name in ("sparse", "fuse", "texture", "out"):
        (tmp_path / name).mkdir()
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:, :32], texture[:, 32:] = RED, BLUE
    step = np.linspace(0, 1, 9)
    x, y = (grid.ravel() for grid in np.meshgrid(step, step))
    a = (np.arange(8)[:, None] * 9 + np.arange(8)).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + 10], 1), np.stack([a, a + 10, a + 9], 1)])
    mesh = TexturedMesh(
        vertices=np.stack([2 * x - 1, 1.5 * y, 0 * x], 1).astype(np.float32),
        uv=np.stack([x, 1 - y], 1).astype(np.float32),
        faces=faces.astype(np.int32),
        texture=texture,
    )
    write_glb(mesh, tmp_path / "texture" / "model.glb")
    (tmp_path / "fuse" / "cloud.ply").write_bytes(b"ply of points")
    pose = [[1, 0, 0, 0], [0, -1, 0, 1], [0, 0, -1, 5]]
    centers = ([0.0, 1.0, 5.0], [1.0, 1.0, 5.0])
    cameras = {"images": [{"center": center, "cam_from_world": pose} for center in centers]}
    (tmp_path / "sparse" / "cameras.json").write_text(json.dumps(cameras))

    def build(**params: Any) -> StageRequest:
        return StageRequest(
            stage="export",
            params=params,
            inputs={name: tmp_path / name for name in ("sparse", "fuse", "texture")},
            photos=tmp_path / "photos.json",
            output=tmp_path / "out",
            threads=1,
            memory_bytes=1 << 30,
        )

    return build


def test_every_format_opens_again(request_for: Any) -> None:
    request = request_for(formats="glb,obj,ply,stl", preview_width=160)
    metrics = main(request, Events())
    out = request.output
    assert metrics["faces"] == 128
    assert metrics["extents"] == [2.0, 1.5, 0.0]
    assert metrics["formats"] == ["glb", "obj", "ply", "stl"]
    for name in ("model.obj", "model.mtl", "model.jpg", "cloud.ply", "cameras.json"):
        assert (out / name).is_file()

    for kind in ("glb", "obj", "ply"):
        loaded = trimesh.load(out / f"model.{kind}", process=False)
        loaded = loaded.to_geometry() if isinstance(loaded, trimesh.Scene) else loaded
        np.testing.assert_allclose(np.ptp(loaded.vertices, axis=0), [2.0, 1.5, 0.0], atol=1e-5)
        visual = loaded.visual if kind == "ply" else loaded.visual.to_color()
        color = np.asarray(visual.vertex_colors)[:, :3].astype(int)
        for wanted, side in (
            (RED, loaded.vertices[:, 0] < -0.1),
            (BLUE, loaded.vertices[:, 0] > 0.1),
        ):
            assert side.any()
            assert np.abs(color[side] - wanted).max() < 30, kind
    assert len(trimesh.load(out / "model.stl").faces) == 128


def test_a_format_is_the_same_file_as_insaat_export_writes(
    request_for: Any, tmp_path: Path
) -> None:
    request = request_for(formats="glb,obj,ply,stl", preview_width=16)
    main(request, Events())
    formats = (MeshFormat.OBJ, MeshFormat.PLY, MeshFormat.STL)
    export(ExportOptions(source=request.output, output=tmp_path / "again", formats=formats))
    for name in ("model.obj", "model.mtl", "model.jpg", "model.ply", "model.stl"):
        assert (request.output / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    standing = trimesh.load(request.output / "model.stl")
    np.testing.assert_allclose(np.ptp(standing.vertices, axis=0), [2.0, 0.0, 1.5], atol=1e-6)


def test_the_preview_shows_the_front_first(request_for: Any) -> None:
    request = request_for(preview_width=160)
    main(request, Events())
    picture = np.asarray(Image.open(request.output / "preview.png").convert("RGB")).astype(int)
    assert picture.shape == (240, 320, 3)
    front = picture[:120, :160]
    red = (front[..., 0] > 200) & (front[..., 2] < 80)
    blue = (front[..., 2] > 200) & (front[..., 0] < 80)
    assert red.sum() > 500
    assert blue.sum() > 500
    assert np.nonzero(red)[1].mean() < np.nonzero(blue)[1].mean()


def test_glb_is_always_written_and_unknown_formats_are_refused() -> None:
    assert parse_formats("STL, .obj,stl") == [MeshFormat.GLB, MeshFormat.STL, MeshFormat.OBJ]
    for unknown in ("fbx", "usdz"):
        with pytest.raises(UsageError, match=unknown):
            parse_formats(f"glb,{unknown}")


def test_a_file_with_too_few_faces_is_an_error(request_for: Any, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="128 faces instead of 200"):
        check_opens(tmp_path / "texture" / "model.glb", 200)


def test_the_smallest_preview(request_for: Any) -> None:
    request = request_for(preview_width=16)
    main(request, Events())
    with Image.open(request.output / "preview.png") as preview:
        assert preview.size == (32, 24)


def test_every_page_of_the_texture_is_exported(tmp_path: Path) -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], np.int32)
    red, blue = np.zeros((16, 16, 3), np.uint8), np.zeros((8, 16, 3), np.uint8)
    red[:], blue[:] = RED, BLUE
    mesh = TexturedMesh(
        vertices=np.concatenate([square, square + np.float32([1, 0, 0])]),
        uv=np.tile(square[:, :2], (2, 1)),
        faces=faces,
        texture=red,
        further_pages=(blue,),
        page_of_face=np.array([0, 0, 1, 1], np.uint8),
    )
    write_glb(mesh, tmp_path / "model.glb")
    model = read_model(tmp_path / "model.glb")
    write_model(model, tmp_path / "model.obj", MeshFormat.OBJ)
    write_model(model, tmp_path / "model.ply", MeshFormat.PLY)
    assert (tmp_path / "model.jpg").is_file()
    assert (tmp_path / "model-2.jpg").is_file()
    check_opens(tmp_path / "model.obj", 4)
    loaded = trimesh.load(tmp_path / "model.obj", process=False)
    assert len(loaded.geometry) == 2
    parts = [*loaded.geometry.values(), trimesh.load(tmp_path / "model.ply", process=False)]
    for part in parts:
        visual = part.visual if hasattr(part.visual, "vertex_colors") else part.visual.to_color()
        color = np.asarray(visual.vertex_colors)[:, :3].astype(int)
        for wanted, side in ((RED, part.vertices[:, 0] < 0.9), (BLUE, part.vertices[:, 0] > 1.1)):
            assert np.all(np.abs(color[side] - wanted) < 30)
