"""Clouds and textured meshes as OpenMVS writes them, and its options as it knows them."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.mvs_options import CUDA, OPENMVS

from insaat_cli.errors import StageError
from insaat_cli.external.openmvs import NO_OPTIONS, option_arguments
from insaat_cli.external.openmvs_cloud import count_elements, read_mvs_cloud
from insaat_cli.external.openmvs_gltf import Page, join_pages, read_textured, textured_share
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.stages import openmvs_dense, openmvs_refine, openmvs_surface, openmvs_texture

OPTIONS = {
    "DensifyPointCloud": openmvs_dense.DenseOptions,
    "ReconstructMesh": openmvs_surface.SurfaceOptions,
    "RefineMesh": openmvs_refine.RefineOptions,
    "TextureMesh": openmvs_texture.TextureOptions,
}


@pytest.mark.parametrize("program", OPTIONS)
def test_the_program_knows_every_option(program: str) -> None:
    for field in dataclasses.fields(OPTIONS[program]):
        if field.name not in NO_OPTIONS:
            assert field.name.replace("_", "-") in OPENMVS[program] | CUDA


def test_options_become_arguments() -> None:
    options = openmvs_refine.RefineOptions(enabled=True, reduce_memory=False, cuda_device="-2")
    arguments = option_arguments(options)
    pairs = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert pairs["--reduce-memory"] == "0"
    assert pairs["--cuda-device"] == "-2"
    assert pairs["--gradient-step"] == "45.05"
    assert "--enabled" not in pairs
    assert "--cuda-device" not in option_arguments(openmvs_refine.RefineOptions())


@pytest.mark.parametrize("name", ["openmvg-openmvs", "colmap-openmvs"])
def test_the_pipeline_file_lists_every_option_with_its_default(name: str) -> None:
    pipeline = find_pipeline(name)
    stages = {"dense": "DensifyPointCloud", "surface": "ReconstructMesh",
              "refine": "RefineMesh", "texture": "TextureMesh"}  # fmt: skip
    for stage, program in stages.items():
        defaults = {f.name: f.default for f in dataclasses.fields(OPTIONS[program])}
        assert dict(pipeline.stage(stage).params) == defaults


def cloud_bytes(lists: bool) -> bytes:
    header = ["ply", "format binary_little_endian 1.0", "element vertex 3",
              *(f"property float32 {name}" for name in "xyz"),
              *(f"property uint8 {name}" for name in ("red", "green", "blue"))]  # fmt: skip
    if lists:
        header += [
            "property list uint8 uint32 view_indices",
            "property list uint8 float32 view_weights",
        ]
    body = b""
    for index in range(3):
        body += struct.pack("<3f3B", index, 2.0, 3.0, 10 * index, 20, 30)
        if lists:
            body += struct.pack(f"<B{index}I", index, *range(index))
            body += struct.pack(f"<B{index}f", index, *[0.5] * index)
    return ("\n".join([*header, "end_header"]) + "\n").encode() + body


@pytest.mark.parametrize("lists", [True, False])
def test_a_cloud_with_and_without_views(lists: bool, tmp_path: Path) -> None:
    path = tmp_path / "cloud.ply"
    path.write_bytes(cloud_bytes(lists))
    cloud = read_mvs_cloud(path)
    assert cloud.points.tolist() == [[0, 2, 3], [1, 2, 3], [2, 2, 3]]
    assert cloud.colors[:, 0].tolist() == [0, 10, 20]
    assert not cloud.normals.any()
    assert count_elements(path, "vertex") == 3
    assert count_elements(path, "face") == count_elements(tmp_path / "none", "face") == 0
    path.write_bytes(cloud_bytes(lists)[:-3])
    with pytest.raises(StageError, match=r"cannot read cloud\.ply"):
        read_mvs_cloud(path)


def page(color: tuple[int, int, int], size: int) -> Page:
    texture = np.full((size, size, 3), color, np.uint8)
    triangle = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    uv = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]], np.float32)
    return Page(vertices=triangle, uv=uv, faces=np.array([[0, 1, 2]], np.int32), texture=texture)


def test_pages_become_one_texture_and_every_corner_keeps_its_color() -> None:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    mesh = join_pages([page(color, 8 + 8 * i) for i, color in enumerate(colors)])
    height, width = mesh.texture.shape[:2]
    assert (height, width) == (48, 48)
    for face, color in zip(mesh.faces, colors, strict=True):
        for u, v in mesh.uv[face]:
            assert tuple(mesh.texture[int(v * height), int(u * width)]) == color


def test_faces_that_no_photo_paints_are_counted() -> None:
    mesh = join_pages([page((255, 0, 0), 8), page((128, 128, 128), 8)])
    assert textured_share(mesh, (128, 128, 128)) == 0.5
    mesh.uv[mesh.faces[0]] = 0.1
    assert textured_share(mesh, (128, 128, 128)) == 0.0


def test_a_broken_textured_mesh(tmp_path: Path) -> None:
    (tmp_path / "painted.glb").write_bytes(b"glTF")
    with pytest.raises(StageError, match="cannot read the textured mesh"):
        read_textured(tmp_path / "painted.glb")
