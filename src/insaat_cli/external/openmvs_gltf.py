"""OpenMVS's textured GLB, whose texture pages lie beside it, as one mesh with one texture."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.errors import StageError
from insaat_cli.mesh_io.textured_mesh import TexturedMesh

LARGEST_SIDE = 16_384
"""Of the joined texture: more, and no graphics card shows it."""
DTYPES = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of the mesh that has a texture of its own."""

    vertices: npt.NDArray[np.float32]
    uv: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    texture: npt.NDArray[np.uint8]


def read_textured(path: Path) -> TexturedMesh:
    """The mesh in a GLB of OpenMVS. Raises StageError where it or its textures cannot be read."""
    try:
        return join_pages(list(_pages(path)))
    except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise StageError(f"cannot read the textured mesh {path.name}: {error!r}") from error


def join_pages(pages: list[Page]) -> TexturedMesh:
    """Lay the pages' textures out in a square grid and move their coordinates along."""
    if not pages:
        raise ValueError("it contains no mesh")
    columns = math.ceil(math.sqrt(len(pages)))
    rows = math.ceil(len(pages) / columns)
    height = max(page.texture.shape[0] for page in pages)
    width = max(page.texture.shape[1] for page in pages)
    texture = np.zeros((rows * height, columns * width, 3), np.uint8)
    vertices, coordinates, faces, start = [], [], [], 0
    for number, page in enumerate(pages):
        row, column = divmod(number, columns)
        tall, wide = page.texture.shape[:2]
        texture[row * height : row * height + tall, column * width : column * width + wide] = (
            page.texture
        )
        corner = np.array([column * width, row * height], np.float32)
        uv = (page.uv * [wide, tall] + corner) / [texture.shape[1], texture.shape[0]]
        vertices.append(page.vertices)
        coordinates.append(uv.astype(np.float32))
        faces.append(page.faces + start)
        start += len(page.vertices)
    return TexturedMesh(
        vertices=np.concatenate(vertices),
        uv=np.concatenate(coordinates),
        faces=np.concatenate(faces).astype(np.int32),
        texture=_limited(texture),
    )


def textured_share(mesh: TexturedMesh, empty: tuple[int, int, int]) -> float:
    """Share of the faces that some photo paints.

    OpenMVS gives the others one and the same place in the texture for all three corners, which
    has the empty color or was painted over.
    """
    corners = mesh.uv[mesh.faces]
    collapsed = (np.ptp(corners, axis=1) == 0).all(axis=1)
    points = np.concatenate([corners, corners.mean(axis=1, keepdims=True)], axis=1)
    height, width = mesh.texture.shape[:2]
    column = np.clip((points[..., 0] * width).astype(int), 0, width - 1)
    row = np.clip((points[..., 1] * height).astype(int), 0, height - 1)
    bare = (mesh.texture[row, column] == np.array(empty, np.uint8)).all(axis=(1, 2))
    return float(1.0 - (bare | collapsed).mean()) if len(bare) else 0.0


def _limited(texture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    factor = LARGEST_SIDE / max(texture.shape[:2])
    if factor >= 1.0:
        return texture
    size = (int(texture.shape[1] * factor), int(texture.shape[0] * factor))
    return np.asarray(cv2.resize(texture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _pages(path: Path) -> Any:
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    header = json.loads(data[20 : 20 + length])
    binary = data[20 + length + 8 :]
    for mesh in header["meshes"]:
        for primitive in mesh["primitives"]:
            attributes = primitive["attributes"]
            vertices = _accessor(header, binary, attributes["POSITION"])
            yield Page(
                vertices=vertices.astype(np.float32),
                uv=_accessor(header, binary, attributes["TEXCOORD_0"]).astype(np.float32),
                faces=_accessor(header, binary, primitive["indices"])
                .reshape(-1, 3)
                .astype(np.int32),
                texture=_texture(header, binary, primitive["material"], path.parent),
            )


def _accessor(header: Mapping[str, Any], binary: bytes, index: int) -> npt.NDArray[Any]:
    accessor = header["accessors"][index]
    view = header["bufferViews"][accessor["bufferView"]]
    columns = COLUMNS[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    count = accessor["count"] * columns
    values = np.frombuffer(binary, DTYPES[accessor["componentType"]], count, start)
    return values.reshape(-1, columns)


def _texture(
    header: Mapping[str, Any], binary: bytes, material: int, folder: Path
) -> npt.NDArray[np.uint8]:
    surface = header["materials"][material]["pbrMetallicRoughness"]
    source = header["textures"][surface["baseColorTexture"]["index"]]["source"]
    image = header["images"][source]
    if "uri" in image:
        encoded = (folder / Path(image["uri"]).name).read_bytes()
    else:
        view = header["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        encoded = binary[start : start + view["byteLength"]]
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("a texture cannot be decoded")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
