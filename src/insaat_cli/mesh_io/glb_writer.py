"""Write a self-contained GLB. Format: glTF 2.0 specification."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from insaat_cli.mesh_io.draco import compress
from insaat_cli.mesh_io.glb_check import BIN_CHUNK, DRACO, JSON_CHUNK, MAGIC, VERSION
from insaat_cli.mesh_io.model import Model, Part

FLOAT, BYTE, INDEX = 5126, 5121, 5125
VERTEX_DATA, INDEX_DATA = 34962, 34963
JPEG_QUALITY = 90


def glb_bytes(model: Model, *, jpeg_quality: int = JPEG_QUALITY, draco: bool = False) -> bytes:
    """The model as GLB: one mesh, one primitive a part, unlit, textures as JPEG.

    With `draco` its meshes are compressed; `models.draco.compress` says what that needs.
    """
    writer = _Writer()
    primitive = writer.compressed_primitive if draco else writer.primitive
    primitives = [primitive(part, jpeg_quality) for part in model.parts]
    required = {"extensionsRequired": [DRACO]} if draco else {}
    document = {
        "asset": {"version": "2.0", "generator": "insaat"},
        "extensionsUsed": ["KHR_materials_unlit", *required.get("extensionsRequired", [])],
        **required,
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": primitives}],
        **{key: items for key, items in writer.lists.items() if items},
        "buffers": [{"byteLength": len(writer.binary)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text
    chunks += struct.pack("<II", len(writer.binary), BIN_CHUNK) + bytes(writer.binary)
    return struct.pack("<III", MAGIC, VERSION, 12 + len(chunks)) + chunks


def jpeg_bytes(image: Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    """`image` as JPEG without metadata."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


class _Writer:
    def __init__(self) -> None:
        self.binary = bytearray()
        self.lists: dict[str, list[Any]] = {
            key: []
            for key in ("accessors", "bufferViews", "materials", "textures", "images", "samplers")
        }

    def add(self, key: str, item: dict[str, Any]) -> int:
        self.lists[key].append(item)
        return len(self.lists[key]) - 1

    def view(self, data: bytes, **more: Any) -> int:
        entry = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data), **more}
        self.binary += data + b"\0" * (-len(data) % 4)
        return self.add("bufferViews", entry)

    def accessor(self, values: npt.NDArray[Any], component: int, **more: Any) -> int:
        kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
        target = INDEX_DATA if component == INDEX else VERTEX_DATA
        view = self.view(np.ascontiguousarray(values).tobytes(), target=target)
        entry = {"bufferView": view, "componentType": component, "count": len(values)}
        return self.add("accessors", {**entry, "type": kind, **more})

    def primitive(self, part: Part, jpeg_quality: int) -> dict[str, Any]:
        places = part.vertices.astype("<f4")
        ends = {"min": places.min(axis=0).tolist(), "max": places.max(axis=0).tolist()}
        attributes = {"POSITION": self.accessor(places, FLOAT, **ends)}
        if part.texture is not None and part.uv is not None:
            uv = np.stack([part.uv[:, 0], 1.0 - part.uv[:, 1]], axis=1).astype("<f4")
            attributes["TEXCOORD_0"] = self.accessor(uv, FLOAT)
        elif part.colors is not None:
            # glTF wants linear colors, and every row on four bytes.
            linear = (part.colors / 255.0) ** 2.2
            rgba = np.concatenate([linear, np.ones((len(linear), 1))], axis=1)
            shades = np.round(rgba * 255).astype(np.uint8)
            attributes["COLOR_0"] = self.accessor(shades, BYTE, normalized=True)
        indices = self.accessor(part.faces.reshape(-1).astype("<u4"), INDEX)
        return {
            "attributes": attributes,
            "indices": indices,
            "material": self.material(part, jpeg_quality),
        }

    def compressed_primitive(self, part: Part, jpeg_quality: int) -> dict[str, Any]:
        """As KHR_draco_mesh_compression has it: accessors say what the one view will give."""
        packed = compress(part)
        ends = {"min": packed.low.tolist(), "max": packed.high.tolist()}
        shapes: dict[str, dict[str, Any]] = {
            "POSITION": {"componentType": FLOAT, "type": "VEC3", **ends},
            "TEXCOORD_0": {"componentType": FLOAT, "type": "VEC2"},
            "COLOR_0": {"componentType": BYTE, "type": "VEC4", "normalized": True},
        }
        attributes = {
            name: self.add("accessors", {**shapes[name], "count": packed.vertices})
            for name in packed.ids
        }
        indices = {"componentType": INDEX, "type": "SCALAR", "count": 3 * packed.faces}
        extension = {"bufferView": self.view(packed.data), "attributes": packed.ids}
        return {
            "attributes": attributes,
            "indices": self.add("accessors", indices),
            "material": self.material(part, jpeg_quality),
            "extensions": {DRACO: extension},
        }

    def material(self, part: Part, jpeg_quality: int) -> int:
        look: dict[str, Any] = {
            "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1},
            "doubleSided": True,
        }
        if part.texture is not None and part.uv is not None:
            texture = {"index": self.texture(part.texture, jpeg_quality)}
            look["pbrMetallicRoughness"]["baseColorTexture"] = texture
        if part.texture is not None or part.colors is not None:
            look["extensions"] = {"KHR_materials_unlit": {}}
        return self.add("materials", look)

    def texture(self, image: Image.Image, jpeg_quality: int) -> int:
        view = self.view(jpeg_bytes(image, jpeg_quality))
        source = self.add("images", {"bufferView": view, "mimeType": "image/jpeg"})
        if not self.lists["samplers"]:
            self.add("samplers", {"magFilter": 9729, "minFilter": 9987})
        return self.add("textures", {"source": source, "sampler": 0})
