"""export: the final files, in the formats asked for, and a picture of the model."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from insaat_cli.engine.render.preview import four_sides, preview_directions
from insaat_cli.engine.scene.optical_axes import orbited
from insaat_cli.errors import StageError, UsageError
from insaat_cli.mesh_io.formats import MeshFormat, face_count, write_model
from insaat_cli.mesh_io.model import read_model
from insaat_cli.mesh_io.textured_mesh import read_glb
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

FORMATS = (MeshFormat.GLB, MeshFormat.OBJ, MeshFormat.PLY, MeshFormat.STL)
PNG_LEVEL = 2
"""An eighth larger than with zlib's own 6, in a quarter of the time."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Parameters of the stage."""

    formats: str = "glb"
    """Comma-separated: glb, obj, ply, stl."""
    preview_width: int = 800
    """Width of each of the preview's four pictures, in pixels."""


def parse_formats(text: str) -> list[MeshFormat]:
    """The formats in a comma-separated list, GLB first; UsageError for an unknown one."""
    names = [name.strip().lower().lstrip(".") for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise UsageError(
            f"unknown format {', '.join(unknown)}", hint=f"choose from {', '.join(FORMATS)}"
        )
    return list(dict.fromkeys([MeshFormat.GLB, *(MeshFormat(name) for name in names)]))


def optical_axes(cameras: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Camera centres and viewing directions, (N, 3) each."""
    images = json.loads(cameras.read_text(encoding="utf-8"))["images"]
    centers = np.array([image["center"] for image in images], float).reshape(-1, 3)
    poses = np.array([image["cam_from_world"] for image in images], float).reshape(-1, 3, 4)
    return centers, poses[:, 2, :3]


def check_opens(path: Path, faces: int) -> None:
    """Open a written file again; StageError unless it holds so many faces."""
    loaded = trimesh.load(path, process=False)
    if isinstance(loaded, trimesh.Scene):
        loaded = loaded.to_geometry()
    found = len(getattr(loaded, "faces", ()))
    if found != faces:
        raise StageError(
            f"{path.name} has {found} faces instead of {faces}",
            hint="is the disk full? rerun with --from export",
        )


def find_input(inputs: Mapping[str, Path], name: str) -> Path:
    """The file `name` of whichever stage wrote it; pipelines differ in who does."""
    for folder in inputs.values():
        if (folder / name).is_file():
            return folder / name
    raise StageError(f"no stage wrote {name}", hint="rerun with --restart")


def main(request: StageRequest, events: Events) -> Metrics:
    options = parse_options(ExportOptions, request.params)
    formats = parse_formats(options.formats)
    cv2.setNumThreads(request.threads)
    output, inputs = request.output, request.inputs
    for name in ("model.glb", "cloud.ply", "cameras.json"):
        shutil.copyfile(find_input(inputs, name), output / name)
    mesh = read_glb(output / "model.glb")
    events.progress(0.2)
    centers, forwards = optical_axes(output / "cameras.json")
    picture = four_sides(
        mesh,
        preview_directions(centers),
        options.preview_width,
        round(options.preview_width * 0.75),
        focus=orbited(centers, forwards),
        threads=request.threads,
    )
    Image.fromarray(picture).save(output / "preview.png", compress_level=PNG_LEVEL)
    events.progress(0.6)
    check_opens(output / "model.glb", len(mesh.faces))
    if others := formats[1:]:
        model = read_model(output / "model.glb")
        for number, kind in enumerate(others):
            path = output / f"model.{kind}"
            write_model(model, path, kind)
            check_opens(path, face_count(model, kind))
            events.progress(0.6 + 0.4 * (number + 1) / len(others))
    extents = mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)
    return {
        "faces": len(mesh.faces),
        "vertices": len(mesh.vertices),
        "texture_width": mesh.texture.shape[1],
        "texture_height": mesh.texture.shape[0],
        "texture_pages": len(mesh.pages),
        "extents": [round(float(extent), 6) for extent in extents],
        "formats": [str(kind) for kind in formats],
    }


if __name__ == "__main__":
    sys.exit(run_stage(main))
