"""A model in memory: parts, each with its own texture or colors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image

from insaat_cli.errors import UsageError
from insaat_cli.mesh_io.glb_check import check_glb
from insaat_cli.mesh_io.limits import refused
from insaat_cli.mesh_io.ply_check import check_ply

Floats = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int64]

MODEL_NAME = "model.glb"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Triangles that share one texture."""

    vertices: Floats
    """(n, 3), Y up."""
    faces: Faces
    """(m, 3) indices into `vertices`."""
    uv: Floats | None = None
    """(n, 2), v upwards; only with a texture."""
    texture: Image.Image | None = None
    colors: npt.NDArray[np.uint8] | None = None
    """(n, 3), sRGB; where there is no texture."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """Everything that is shown or printed."""

    parts: tuple[Part, ...]
    metres_per_unit: float | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def faces(self) -> int:
        return sum(len(part.faces) for part in self.parts)

    @property
    def bounds(self) -> Floats:
        """(2, 3): least and greatest corner of what the faces use."""
        used = np.concatenate([p.vertices[np.unique(p.faces)] for p in self.parts if len(p.faces)])
        return np.stack([used.min(axis=0), used.max(axis=0)])

    def shape(self) -> tuple[Floats, Faces]:
        """All parts as one triangle mesh; vertices at the same place become one."""
        offsets = np.cumsum([0, *(len(part.vertices) for part in self.parts)])
        vertices = np.concatenate([part.vertices for part in self.parts])
        faces = np.concatenate(
            [part.faces + at for part, at in zip(self.parts, offsets, strict=False)]
        )
        return weld(vertices, faces)


def weld(vertices: Floats, faces: Faces) -> tuple[Floats, Faces]:
    """Make vertices at exactly the same place one, and drop faces that lose their area by it."""
    used, faces = np.unique(faces, return_inverse=True)
    places, same = np.unique(vertices[used] + 0.0, axis=0, return_inverse=True)
    faces = same.reshape(-1)[faces.reshape(-1, 3)]
    a, b, c = faces.T
    return places, faces[(a != b) & (b != c) & (c != a)]


def read_model(path: Path) -> Model:
    """Read a GLB or PLY after a strict check. Raises UsageError for anything that is not sound."""
    data = read_checked(path)
    try:
        scene = trimesh.load_scene(
            io.BytesIO(data), file_type=path.suffix.lower()[1:], process=False
        )
        meshes = scene.dump(concatenate=False)
    except Exception as error:
        raise refused(path, f"it cannot be read ({type(error).__name__})") from error
    parts = tuple(_part(mesh) for mesh in meshes if isinstance(mesh, trimesh.Trimesh))
    parts = tuple(part for part in parts if len(part.faces))
    if not parts:
        raise UsageError(f"{path.name!r} contains no faces", hint="use a mesh, not a point cloud")
    if not all(np.isfinite(part.vertices).all() for part in parts):
        raise refused(path, "some of its coordinates are not numbers")
    return Model(parts=parts)


def read_checked(path: Path, *, compressed: bool = False) -> bytes:
    """The bytes of a GLB or PLY that passed its check; only the viewer reads `compressed` ones."""
    kind = path.suffix.lower()
    if kind not in (".glb", ".ply"):
        raise UsageError(f"{path.name!r} is neither .glb nor .ply", hint="use a GLB or a PLY file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if kind == ".glb":
        check_glb(path, data, compressed=compressed)
    else:
        check_ply(path, data)
    return data


def find_model(source: Path) -> Path:
    """The model file that `source`, a result folder or a file, stands for."""
    path = source / MODEL_NAME if source.is_dir() else source
    if path.is_file():
        return path
    if source.is_dir():
        raise UsageError(
            f"no {MODEL_NAME} in {str(source)!r}",
            hint="use a folder written by `insaat reconstruct`, or a model file",
        )
    raise UsageError(f"file or folder not found: {str(source)!r}")


def _part(mesh: Any) -> Part:
    faces = np.asarray(mesh.faces, np.int64).reshape(-1, 3)
    vertices = np.asarray(mesh.vertices, np.float64)
    visual = mesh.visual
    if isinstance(visual, trimesh.visual.TextureVisuals):
        texture = _texture(visual.material)
        if texture is not None and visual.uv is not None:
            uv = np.asarray(visual.uv, np.float64)[:, :2]
            return Part(vertices=vertices, faces=faces, uv=uv, texture=texture)
    elif visual.kind in ("vertex", "face"):
        colors = np.asarray(visual.vertex_colors, np.uint8)[:, :3]
        return Part(vertices=vertices, faces=faces, colors=colors)
    return Part(vertices=vertices, faces=faces)


def _texture(material: Any) -> Image.Image | None:
    for name in ("baseColorTexture", "image"):
        texture = getattr(material, name, None)
        if isinstance(texture, Image.Image):
            return texture.convert("RGB")
    return None


def vertex_colors(part: Part) -> npt.NDArray[np.uint8] | None:
    """(n, 3) color of each vertex, from the texture where there is one."""
    if part.texture is None or part.uv is None:
        return part.colors
    pixels = np.asarray(part.texture)
    height, width = pixels.shape[:2]
    uv = np.where((part.uv < 0) | (part.uv > 1), part.uv % 1.0, part.uv)
    column = np.clip(uv[:, 0] * width, 0, width - 1).astype(np.int64)
    row = np.clip((1.0 - uv[:, 1]) * height, 0, height - 1).astype(np.int64)
    colors: npt.NDArray[np.uint8] = pixels[row, column, :3]
    return colors


def transformed(model: Model, *, scale: float = 1.0, move: Sequence[float] = (0, 0, 0)) -> Model:
    """Every vertex times `scale`, then moved."""
    parts = tuple(
        replace(part, vertices=part.vertices * scale + np.asarray(move, np.float64))
        for part in model.parts
    )
    known = model.metres_per_unit
    return replace(model, parts=parts, metres_per_unit=known / scale if known else None)
