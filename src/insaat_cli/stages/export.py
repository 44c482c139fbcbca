"""export: the final files, in the formats asked for, and a picture of the model."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from insaat_cli.engine.render.preview import four_sides, preview_directions
from insaat_cli.engine.scene.optical_axes import orbited
from insaat_cli.errors import StageError, UsageError
from insaat_cli.mesh_io.textured_mesh import TexturedMesh, encode_jpeg, read_glb
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

OBJ_JPEG_QUALITY = 95
PNG_LEVEL = 2
"""An eighth larger than with zlib's own 6, in a quarter of the time."""


class Format(StrEnum):
    """File formats of the model. GLB is always written."""

    GLB = "glb"
    OBJ = "obj"
    PLY = "ply"
    STL = "stl"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Parameters of the stage."""

    formats: str = "glb"
    """Comma-separated: glb, obj, ply, stl."""
    preview_width: int = 800
    """Width of each of the preview's four pictures, in pixels."""


def parse_formats(text: str) -> list[Format]:
    """The formats in a comma-separated list, GLB first; UsageError for an unknown one."""
    names = [name.strip().lower().lstrip(".") for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Format)]
    if unknown:
        raise UsageError(f"unknown format {', '.join(unknown)}", hint=f"known: {', '.join(Format)}")
    return list(dict.fromkeys([Format.GLB, *(Format(name) for name in names)]))


def write_obj(mesh: TexturedMesh, path: Path) -> None:
    """Write model.obj with model.mtl and, for each page of the texture, a JPEG beside it.

    All are named after `path`: model.jpg, then model-2.jpg and so on.
    """
    names = [
        path.stem if not page else f"{path.stem}-{page + 1}" for page in range(len(mesh.pages))
    ]
    for name, texture in zip(names, mesh.pages, strict=True):
        path.with_name(f"{name}.jpg").write_bytes(encode_jpeg(texture, OBJ_JPEG_QUALITY))
    path.with_suffix(".mtl").write_text(
        "\n".join(
            f"newmtl {name}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {name}.jpg\n"
            for name in names
        ),
        encoding="utf-8",
    )
    with path.open("w", encoding="utf-8") as file:
        file.write(f"mtllib {path.stem}.mtl\n")
        np.savetxt(file, mesh.vertices, fmt="v %.7g %.7g %.7g")
        # OBJ counts v from the bottom of the picture, glTF from its top.
        np.savetxt(file, mesh.uv * [1, -1] + [0, 1], fmt="vt %.7g %.7g")
        for page, name in enumerate(names):
            file.write(f"usemtl {name}\n")
            corners = np.repeat(mesh.faces_on(page) + 1, 2, axis=1)
            np.savetxt(file, corners, fmt="f %d/%d %d/%d %d/%d")


def write_ply(mesh: TexturedMesh, path: Path) -> None:
    """Write a binary PLY with vertex colors taken from the texture."""
    colors = np.zeros((len(mesh.vertices), 3), np.uint8)
    for page, texture in enumerate(mesh.pages):
        used = np.unique(mesh.faces_on(page))
        height, width = texture.shape[:2]
        column = np.clip((mesh.uv[used, 0] * width).astype(int), 0, width - 1)
        row = np.clip((mesh.uv[used, 1] * height).astype(int), 0, height - 1)
        colors[used] = texture[row, column]
    positions, colors, faces = _joined(mesh, colors)
    trimesh.Trimesh(positions, faces, vertex_colors=colors, process=False).export(path)


def write_stl(mesh: TexturedMesh, path: Path) -> None:
    """Write a binary STL: the shape alone."""
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(path)


def _joined(
    mesh: TexturedMesh, colors: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.int64]]:
    """The mesh with the copies of a vertex along seams made one, of their mean color."""
    positions, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    place = place.reshape(-1)
    weight = np.bincount(place)
    mean = np.stack([np.bincount(place, colors[:, k]) / weight for k in range(3)], axis=1)
    return positions, np.rint(mean).astype(np.uint8), place[mesh.faces]


WRITERS: dict[Format, Callable[[TexturedMesh, Path], None]] = {
    Format.OBJ: write_obj,
    Format.PLY: write_ply,
    Format.STL: write_stl,
}


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
            f"{path.name} holds {found} faces instead of {faces}",
            hint="is the disk full? run again with --from export",
        )


def find_input(inputs: Mapping[str, Path], name: str) -> Path:
    """The file `name` of whichever stage wrote it; pipelines differ in who does."""
    for folder in inputs.values():
        if (folder / name).is_file():
            return folder / name
    raise StageError(f"no stage wrote {name}", hint="run again with --restart")


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
    for number, kind in enumerate(formats):
        path = output / f"model.{kind}"
        if kind is not Format.GLB:
            WRITERS[kind](mesh, path)
        check_opens(path, len(mesh.faces))
        events.progress(0.6 + 0.4 * (number + 1) / len(formats))
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
