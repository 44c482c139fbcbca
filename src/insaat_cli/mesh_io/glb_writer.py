"""Write self-contained GLB files. Format: glTF 2.0 specification."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from insaat_cli.mesh_io.glb_check import BIN_CHUNK, DRACO, JSON_CHUNK, MAGIC, VERSION

if TYPE_CHECKING:
    # It loads trimesh, which stages that only write a model do without.
    from insaat_cli.mesh_io.model import Model, Part

FLOAT, BYTE, INDEX = 5126, 5121, 5125
VERTEX_DATA, INDEX_DATA = 34962, 34963
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP = 9729, 9987, 33071
JPEG_QUALITY = 90


def glb_bytes(model: Model, *, jpeg_quality: int = JPEG_QUALITY, draco: bool = False) -> bytes:
    """The model as GLB: one mesh, one primitive a part, unlit, textures as JPEG.

    With `draco` its meshes are compressed; `mesh_io.draco.compress` says what that needs.
    """
    writer = GlbWriter()
    for part in model.parts:
        geometry = _compressed(writer, part) if draco else _geometry(writer, part)
        texture = None
        if part.texture is not None and part.uv is not None:
            texture = writer.texture(jpeg_bytes(part.texture, jpeg_quality))
        unlit = part.texture is not None or part.colors is not None
        writer.primitive(geometry, writer.material(texture, unlit=unlit))
    return writer.to_bytes(required=[DRACO] if draco else [])


def jpeg_bytes(image: Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    """`image` as JPEG without metadata.

    Its color has full resolution: halved, it would bleed across the edges of charts."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


class GlbWriter:
    """Collects the primitives of one mesh, and what they refer to, in the order of the calls."""

    def __init__(self) -> None:
        self._binary = bytearray()
        self._primitives: list[dict[str, Any]] = []
        self._lists: dict[str, list[Any]] = {
            key: []
            for key in ("accessors", "bufferViews", "materials", "textures", "images", "samplers")
        }

    def primitive(self, geometry: dict[str, Any], material: int) -> None:
        """Add triangles that share a material; `geometry` is of `triangles`, or Draco's."""
        self._primitives.append({**geometry, "material": material})

    def triangles(
        self,
        vertices: npt.NDArray[np.floating[Any]],
        faces: npt.NDArray[np.integer[Any]],
        *,
        uv: npt.NDArray[np.floating[Any]] | None = None,
        rgba: npt.NDArray[np.uint8] | None = None,
    ) -> dict[str, Any]:
        """Attributes and indices of (F, 3) `faces` on (V, 3) `vertices`.

        `uv` (V, 2) starts at the upper left corner of the texture; `rgba` (V, 4) is linear, as
        glTF wants it."""
        places = vertices.astype("<f4")
        ends = {"min": places.min(axis=0).tolist(), "max": places.max(axis=0).tolist()}
        attributes = {"POSITION": self._array(places, FLOAT, **ends)}
        if uv is not None:
            attributes["TEXCOORD_0"] = self._array(uv.astype("<f4"), FLOAT)
        if rgba is not None:
            attributes["COLOR_0"] = self._array(rgba, BYTE, normalized=True)
        indices = self._array(faces.reshape(-1).astype("<u4"), INDEX)
        return {"attributes": attributes, "indices": indices}

    def accessor(self, **fields: Any) -> int:
        """Add an accessor that no buffer view of ours backs."""
        return self._add("accessors", fields)

    def view(self, data: bytes, **more: Any) -> int:
        """Add `data` to the binary chunk."""
        entry = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data), **more}
        self._binary += data
        self._binary += b"\0" * (-len(data) % 4)
        return self._add("bufferViews", entry)

    def texture(self, jpeg: bytes) -> int:
        """Add a JPEG as a texture that does not repeat."""
        source = self._add("images", {"bufferView": self.view(jpeg), "mimeType": "image/jpeg"})
        if not self._lists["samplers"]:
            filters = {"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR}
            self._add("samplers", {**filters, "wrapS": CLAMP, "wrapT": CLAMP})
        return self._add("textures", {"source": source, "sampler": 0})

    def material(self, texture: int | None, *, unlit: bool, name: str | None = None) -> int:
        """Add a double-sided material, with a texture if one is given."""
        look: dict[str, Any] = {
            "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1},
            "doubleSided": True,
        }
        if name is not None:
            look["name"] = name
        if texture is not None:
            look["pbrMetallicRoughness"]["baseColorTexture"] = {"index": texture}
        if unlit:
            look["extensions"] = {"KHR_materials_unlit": {}}
        return self._add("materials", look)

    def to_bytes(self, *, required: list[str] | None = None) -> bytes:
        """The file; `required` are extensions without which it cannot be read."""
        document = {
            "asset": {"version": "2.0", "generator": "insaat"},
            "extensionsUsed": ["KHR_materials_unlit", *(required or [])],
            **({"extensionsRequired": required} if required else {}),
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": "model"}],
            "meshes": [{"name": "model", "primitives": self._primitives}],
            **{key: items for key, items in self._lists.items() if items},
            "buffers": [{"byteLength": len(self._binary)}],
        }
        text = json.dumps(document, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        length = 12 + 8 + len(text) + 8 + len(self._binary)
        return b"".join(
            [
                struct.pack("<III", MAGIC, VERSION, length),
                struct.pack("<II", len(text), JSON_CHUNK),
                text,
                struct.pack("<II", len(self._binary), BIN_CHUNK),
                self._binary,
            ]
        )

    def _array(self, values: npt.NDArray[Any], component: int, **more: Any) -> int:
        kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
        target = INDEX_DATA if component == INDEX else VERTEX_DATA
        view = self.view(np.ascontiguousarray(values).tobytes(), target=target)
        entry = {"bufferView": view, "componentType": component, "count": len(values)}
        return self._add("accessors", {**entry, "type": kind, **more})

    def _add(self, key: str, item: dict[str, Any]) -> int:
        self._lists[key].append(item)
        return len(self._lists[key]) - 1


def _geometry(writer: GlbWriter, part: Part) -> dict[str, Any]:
    uv = rgba = None
    if part.texture is not None and part.uv is not None:
        uv = np.stack([part.uv[:, 0], 1.0 - part.uv[:, 1]], axis=1)
    elif part.colors is not None:
        # Every row stands on four bytes.
        linear = (part.colors / 255.0) ** 2.2
        rgba = np.concatenate([linear, np.ones((len(linear), 1))], axis=1)
        rgba = np.round(rgba * 255).astype(np.uint8)
    return writer.triangles(part.vertices, part.faces, uv=uv, rgba=rgba)


def _compressed(writer: GlbWriter, part: Part) -> dict[str, Any]:
    """As KHR_draco_mesh_compression has it: accessors say what the one view will give."""
    from insaat_cli.mesh_io.draco import compress

    packed = compress(part)
    ends = {"min": packed.low.tolist(), "max": packed.high.tolist()}
    shapes: dict[str, dict[str, Any]] = {
        "POSITION": {"componentType": FLOAT, "type": "VEC3", **ends},
        "TEXCOORD_0": {"componentType": FLOAT, "type": "VEC2"},
        "COLOR_0": {"componentType": BYTE, "type": "VEC4", "normalized": True},
    }
    attributes = {
        name: writer.accessor(**shapes[name], count=packed.vertices) for name in packed.ids
    }
    extension = {"bufferView": writer.view(packed.data), "attributes": packed.ids}
    return {
        "attributes": attributes,
        "indices": writer.accessor(componentType=INDEX, type="SCALAR", count=3 * packed.faces),
        "extensions": {DRACO: extension},
    }
