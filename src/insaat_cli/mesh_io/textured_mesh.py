"""A mesh with a texture of one page or several, and its binary glTF file (GLB)."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

GLB_MAGIC, GLB_VERSION = 0x46546C67, 2
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
FLOAT32, UINT32 = 5126, 5125
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP = 9729, 9987, 33071


@dataclass(frozen=True, kw_only=True)
class TexturedMesh:
    """Vertices are doubled along seams, so that each has one place in one page of the texture."""

    vertices: NDArray[np.float32]
    """(V, 3) in the world frame."""
    uv: NDArray[np.float32]
    """(V, 2) in glTF's convention: (0, 0) is the upper left corner of the page."""
    faces: NDArray[np.int32]
    """(F, 3), counter-clockwise from outside."""
    texture: NDArray[np.uint8]
    """(H, W, 3) RGB, the first page."""
    further_pages: tuple[NDArray[np.uint8], ...] = ()
    """(H, W, 3) RGB each."""
    page_of_face: NDArray[np.uint8] | None = None
    """(F,) 0 is the first page; None if there is no other."""

    @property
    def pages(self) -> tuple[NDArray[np.uint8], ...]:
        """All pages of the texture."""
        return (self.texture, *self.further_pages)

    def faces_on(self, page: int) -> NDArray[np.int32]:
        """(F', 3) the faces whose texture is on this page."""
        return self.faces if self.page_of_face is None else self.faces[self.page_of_face == page]


def encode_jpeg(texture: NDArray[np.uint8], quality: int) -> bytes:
    """JPEG with full color resolution: halved, it would bleed across the edges of charts."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(texture, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise ValueError("the texture cannot be encoded")
    return bytes(data)


def write_glb(mesh: TexturedMesh, path: Path, *, jpeg_quality: int = 92) -> None:
    """Write a self-contained GLB: one mesh; for each page of the texture one primitive with an
    unlit, double-sided material and one JPEG."""
    parts: list[bytes] = []
    bounds = []
    for number, page in enumerate(mesh.pages):
        vertices, uv, faces = _own_vertices(mesh, number)
        bounds.append((vertices.min(axis=0).tolist(), vertices.max(axis=0).tolist()))
        parts += [
            np.ascontiguousarray(vertices, "<f4").tobytes(),
            np.ascontiguousarray(uv, "<f4").tobytes(),
            np.ascontiguousarray(faces, "<u4").tobytes(),
            encode_jpeg(page, jpeg_quality),
        ]
    lengths = [len(part) for part in parts]
    padded = [part + b"\0" * (-len(part) % 4) for part in parts]
    starts = np.cumsum([0, *(len(part) for part in padded)]).tolist()
    header = json.dumps(_gltf(bounds, starts, lengths), separators=(",", ":")).encode()
    header += b" " * (-len(header) % 4)
    with path.open("wb") as file:
        file.write(
            struct.pack("<III", GLB_MAGIC, GLB_VERSION, 12 + 8 + len(header) + 8 + starts[-1])
        )
        file.write(struct.pack("<II", len(header), JSON_CHUNK) + header)
        file.write(struct.pack("<II", starts[-1], BINARY_CHUNK))
        for part in padded:
            file.write(part)


def _own_vertices(
    mesh: TexturedMesh, page: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Vertices, texture coordinates and faces of one page."""
    if mesh.page_of_face is None:
        return mesh.vertices, mesh.uv, mesh.faces
    faces = mesh.faces_on(page)
    used = np.zeros(len(mesh.vertices), np.bool_)
    used[faces] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    return mesh.vertices[used], mesh.uv[used], number[faces]


def _gltf(
    bounds: list[tuple[list[float], list[float]]], starts: list[int], lengths: list[int]
) -> dict[str, Any]:
    """The header for pages of four parts each: positions, coordinates, indices, picture."""
    targets = [ARRAY_BUFFER, ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, None] * len(bounds)
    views = [
        {"buffer": 0, "byteOffset": start, "byteLength": length}
        | ({"target": target} if target else {})
        for start, length, target in zip(starts, lengths, targets, strict=False)
    ]
    pages = range(len(bounds))
    return {
        "asset": {"version": "2.0", "generator": "insaat"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "model"}],
        "meshes": [{"name": "model", "primitives": [_primitive(page) for page in pages]}],
        "materials": [_material(page) for page in pages],
        "textures": [{"source": page, "sampler": 0} for page in pages],
        "samplers": [
            {
                "magFilter": LINEAR,
                "minFilter": LINEAR_MIPMAP_LINEAR,
                "wrapS": CLAMP,
                "wrapT": CLAMP,
            }
        ],
        "images": [{"bufferView": 4 * page + 3, "mimeType": "image/jpeg"} for page in pages],
        "bufferViews": views,
        "accessors": [
            accessor
            for page in pages
            for accessor in _accessors(page, bounds[page], lengths[4 * page : 4 * page + 3])
        ],
        "buffers": [{"byteLength": starts[-1]}],
    }


def _primitive(page: int) -> dict[str, Any]:
    attributes = {"POSITION": 3 * page, "TEXCOORD_0": 3 * page + 1}
    return {"attributes": attributes, "indices": 3 * page + 2, "material": page}


def _material(page: int) -> dict[str, Any]:
    return {
        "name": f"photos {page + 1}" if page else "photos",
        "pbrMetallicRoughness": {
            "baseColorTexture": {"index": page},
            "metallicFactor": 0,
            "roughnessFactor": 1,
        },
        "doubleSided": True,
        "extensions": {"KHR_materials_unlit": {}},
    }


def _accessors(
    page: int, bounds: tuple[list[float], list[float]], lengths: list[int]
) -> list[dict[str, Any]]:
    count = lengths[0] // 12
    places = {"bufferView": 4 * page, "componentType": FLOAT32, "count": count, "type": "VEC3"}
    return [
        {**places, "min": bounds[0], "max": bounds[1]},
        {"bufferView": 4 * page + 1, "componentType": FLOAT32, "count": count, "type": "VEC2"},
        {
            "bufferView": 4 * page + 2,
            "componentType": UINT32,
            "count": lengths[2] // 4,
            "type": "SCALAR",
        },
    ]


def read_glb(path: Path, *, with_texture: bool = True) -> TexturedMesh:
    """Read a GLB as `write_glb` writes it. ValueError if it is another kind of file.

    Without its texture, whose pages are then one pixel each, it needs a fraction of time and
    memory.
    """
    data = path.read_bytes()
    magic, version, _ = struct.unpack_from("<III", data)
    if magic != GLB_MAGIC or version != GLB_VERSION:
        raise ValueError(f"{path.name} is not a GLB file of version 2")
    header_length, _ = struct.unpack_from("<II", data, 12)
    header = json.loads(data[20 : 20 + header_length])
    base = 20 + header_length + 8

    def part(index: int) -> bytes:
        view = header["bufferViews"][index]
        start = base + view.get("byteOffset", 0)
        return data[start : start + view["byteLength"]]

    vertices, uv, faces, pages, count = [], [], [], [], 0
    for page in range(len(header["bufferViews"]) // 4):
        vertices.append(np.frombuffer(part(4 * page), "<f4").reshape(-1, 3))
        uv.append(np.frombuffer(part(4 * page + 1), "<f4").reshape(-1, 2))
        indices = np.frombuffer(part(4 * page + 2), "<u4").astype(np.int32)
        faces.append(indices.reshape(-1, 3) + np.int32(count))
        count += len(vertices[-1])
        pages.append(
            np.asarray(Image.open(io.BytesIO(part(4 * page + 3))).convert("RGB"))
            if with_texture
            else np.zeros((1, 1, 3), np.uint8)
        )
    sizes = [len(some) for some in faces]
    return TexturedMesh(
        vertices=np.concatenate(vertices),
        uv=np.concatenate(uv),
        faces=np.concatenate(faces),
        texture=pages[0],
        further_pages=tuple(pages[1:]),
        page_of_face=None
        if len(pages) == 1
        else np.repeat(np.arange(len(pages)), sizes).astype(np.uint8),
    )
