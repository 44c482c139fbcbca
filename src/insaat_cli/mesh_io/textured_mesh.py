"""A mesh with one texture, and its binary glTF file (GLB)."""

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
    """Vertices are doubled along seams, so that each has one place in the texture."""

    vertices: NDArray[np.float32]
    """(V, 3) in the world frame."""
    uv: NDArray[np.float32]
    """(V, 2) in glTF's convention: (0, 0) is the upper left corner of the texture."""
    faces: NDArray[np.int32]
    """(F, 3), counter-clockwise from outside."""
    texture: NDArray[np.uint8]
    """(H, W, 3) RGB."""


def encode_jpeg(texture: NDArray[np.uint8], quality: int) -> bytes:
    """JPEG with full color resolution: halved, it would bleed across the edges of charts."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(texture, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise ValueError("the texture cannot be encoded")
    return bytes(data)


def write_glb(mesh: TexturedMesh, path: Path, *, jpeg_quality: int = 92) -> None:
    """Write a self-contained GLB: one mesh, one unlit, double-sided material, one JPEG."""
    parts = [
        np.ascontiguousarray(mesh.vertices, "<f4").tobytes(),
        np.ascontiguousarray(mesh.uv, "<f4").tobytes(),
        np.ascontiguousarray(mesh.faces, "<u4").tobytes(),
        encode_jpeg(mesh.texture, jpeg_quality),
    ]
    lengths = [len(part) for part in parts]
    padded = [part + b"\0" * (-len(part) % 4) for part in parts]
    starts = np.cumsum([0, *(len(part) for part in padded)]).tolist()
    header = json.dumps(_gltf(mesh, starts, lengths), separators=(",", ":")).encode()
    header += b" " * (-len(header) % 4)
    with path.open("wb") as file:
        file.write(
            struct.pack("<III", GLB_MAGIC, GLB_VERSION, 12 + 8 + len(header) + 8 + starts[-1])
        )
        file.write(struct.pack("<II", len(header), JSON_CHUNK) + header)
        file.write(struct.pack("<II", starts[-1], BINARY_CHUNK))
        for part in padded:
            file.write(part)


def _gltf(mesh: TexturedMesh, starts: list[int], lengths: list[int]) -> dict[str, Any]:
    targets = [ARRAY_BUFFER, ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, None]
    views = [
        {"buffer": 0, "byteOffset": start, "byteLength": length}
        | ({"target": target} if target else {})
        for start, length, target in zip(starts, lengths, targets, strict=False)
    ]
    texture = {"index": 0}
    return {
        "asset": {"version": "2.0", "generator": "insaat"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "model"}],
        "meshes": [
            {
                "name": "model",
                "primitives": [
                    {"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}
                ],
            }
        ],
        "materials": [
            {
                "name": "photos",
                "pbrMetallicRoughness": {
                    "baseColorTexture": texture,
                    "metallicFactor": 0,
                    "roughnessFactor": 1,
                },
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [
            {
                "magFilter": LINEAR,
                "minFilter": LINEAR_MIPMAP_LINEAR,
                "wrapS": CLAMP,
                "wrapT": CLAMP,
            }
        ],
        "images": [{"bufferView": 3, "mimeType": "image/jpeg"}],
        "bufferViews": views,
        "accessors": [
            {
                "bufferView": 0,
                "componentType": FLOAT32,
                "count": len(mesh.vertices),
                "type": "VEC3",
                "min": mesh.vertices.min(axis=0).tolist(),
                "max": mesh.vertices.max(axis=0).tolist(),
            },
            {"bufferView": 1, "componentType": FLOAT32, "count": len(mesh.uv), "type": "VEC2"},
            {"bufferView": 2, "componentType": UINT32, "count": mesh.faces.size, "type": "SCALAR"},
        ],
        "buffers": [{"byteLength": starts[-1]}],
    }


def read_glb(path: Path, *, with_texture: bool = True) -> TexturedMesh:
    """Read a GLB as `write_glb` writes it. ValueError if it is another kind of file.

    Without its texture, which is then one pixel, it needs a fraction of time and memory.
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

    texture = np.zeros((1, 1, 3), np.uint8)
    if with_texture:
        texture = np.asarray(Image.open(io.BytesIO(part(3))).convert("RGB"))
    return TexturedMesh(
        vertices=np.frombuffer(part(0), "<f4").reshape(-1, 3).copy(),
        uv=np.frombuffer(part(1), "<f4").reshape(-1, 2).copy(),
        faces=np.frombuffer(part(2), "<u4").astype(np.int32).reshape(-1, 3),
        texture=texture,
    )
