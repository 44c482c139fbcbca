"""A strict look at a GLB before a parser or the browser sees it.

The container, every range that it declares, the node graph and the pictures' headers are checked
against the bytes that are there. What points outside the file is refused, never fetched.
Format: glTF 2.0 specification, sections 3 (JSON), 4 (GLB).
"""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from insaat_cli.mesh_io.limits import (
    MAX_FACES,
    MAX_JSON_BYTES,
    MAX_NODES,
    MAX_PRIMITIVES,
    MAX_TEXTURE_PIXELS,
    MAX_TEXTURES,
    MAX_VERTICES,
    refused,
)

MAGIC, VERSION = 0x46546C67, 2
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
COMPONENT_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
TRIANGLES, POINTS = 4, 0
MAX_DEPTH = 64
EXTENSIONS = frozenset({"KHR_materials_unlit", "KHR_mesh_quantization", "KHR_texture_transform"})
"""What a file may require: nothing that the viewer cannot draw."""
DRACO, DRACO_MAGIC = "KHR_draco_mesh_compression", b"DRACO"
MAX_PER_DRACO_BYTE = 256
"""Vertices or indices: far more than any real mesh has."""
PICTURES = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True, kw_only=True)
class GlbFacts:
    """What a checked GLB holds."""

    faces: int
    vertices: int
    textures: int


def check_glb(path: Path, data: bytes, *, compressed: bool = False) -> GlbFacts:
    """Raise UsageError unless `data`, the content of `path`, is a sound self-contained GLB.

    `compressed`: whether meshes may be packed with Draco; what is in them is then not looked at.
    """
    try:
        document, binary = _chunks(path, data)
        return _Checker(path, document, binary, compressed=compressed).run()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise refused(path, f"it is not valid glTF ({type(error).__name__})") from error


def _chunks(path: Path, data: bytes) -> tuple[dict[str, Any], memoryview]:
    if len(data) < 20:
        raise refused(path, "it is too short for a GLB")
    magic, version, length = struct.unpack_from("<III", data, 0)
    if magic != MAGIC or version != VERSION:
        raise refused(path, "it is not a GLB of version 2")
    if length != len(data):
        raise refused(path, f"it declares {length} bytes but contains {len(data)}")
    view, at = memoryview(data), 12
    found: dict[int, memoryview] = {}
    while at + 8 <= length:
        size, kind = struct.unpack_from("<II", data, at)
        if at + 8 + size > length:
            raise refused(path, "a chunk extends past the end of the file")
        found.setdefault(kind, view[at + 8 : at + 8 + size])
        at += 8 + size
    text = found.get(JSON_CHUNK)
    if text is None or len(text) > MAX_JSON_BYTES:
        raise refused(path, "its JSON part is missing or too large")
    document = json.loads(bytes(text))
    if not isinstance(document, dict):
        raise refused(path, "its JSON part is not an object")
    return document, found.get(BIN_CHUNK, view[0:0])


class _Checker:
    def __init__(
        self, path: Path, document: dict[str, Any], binary: memoryview, *, compressed: bool
    ) -> None:
        self.path = path
        self.compressed = compressed
        self.document = document
        self.binary = binary
        self._accessors: dict[int, dict[str, Any]] = {}
        """Those that were found to be in order. A file may name one a million times."""
        self._largest: dict[int, int] = {}
        """The highest index that an accessor of indices holds; -1 for an empty one."""

    def run(self) -> GlbFacts:
        known = EXTENSIONS | {DRACO} if self.compressed else EXTENSIONS
        unknown = sorted(set(self.document.get("extensionsRequired", [])) - known)
        if unknown:
            raise refused(self.path, f"it requires {', '.join(map(repr, unknown))}")
        self._check_buffers()
        views = []
        for image in self._list("images", MAX_TEXTURES):
            if "uri" in image:
                raise refused(self.path, "a texture is in another file")
            views.append(self._natural(image["bufferView"]))
        for index in set(views):
            self._check_picture(index)
        counts = self._check_meshes()
        uses = self._mesh_uses(len(counts))
        vertices = sum(n * counts[mesh][0] for mesh, n in uses.items())
        faces = sum(n * counts[mesh][1] for mesh, n in uses.items())
        self._limit(vertices, faces)
        if not vertices:
            raise refused(self.path, "it contains no mesh")
        return GlbFacts(
            faces=faces, vertices=vertices, textures=len(self.document.get("images", []))
        )

    def _limit(self, vertices: int, faces: int) -> None:
        if vertices > MAX_VERTICES or faces > MAX_FACES:
            raise refused(self.path, f"it draws {vertices} vertices and {faces} faces")

    def _list(self, key: str, limit: int) -> list[Any]:
        items = self.document.get(key, [])
        if not isinstance(items, list) or len(items) > limit:
            raise refused(self.path, f"it has too many {key}")
        return items

    def _check_buffers(self) -> None:
        buffers = self._list("buffers", 1)
        if any("uri" in buffer for buffer in buffers):
            raise refused(self.path, "its data is in another file")
        if buffers and self._natural(buffers[0]["byteLength"]) > len(self.binary):
            raise refused(self.path, "its buffer is larger than the file")

    def _natural(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise refused(self.path, f"{str(value)[:40]!r} is not a count")
        return value

    def _index(self, value: Any, items: list[Any]) -> Any:
        if self._natural(value) >= len(items):
            raise refused(self.path, f"it refers to a missing item {value}")
        return items[value]

    def _view(self, index: Any) -> tuple[memoryview, int]:
        """The bytes of a buffer view, and its stride (0: packed)."""
        view = self._index(index, self.document.get("bufferViews", []))
        if "EXT_meshopt_compression" in view.get("extensions", {}):
            raise refused(self.path, "it is compressed")
        start, size = self._natural(view.get("byteOffset", 0)), self._natural(view["byteLength"])
        if view.get("buffer", 0) != 0 or start + size > len(self.binary):
            raise refused(self.path, "a part of it is outside its buffer")
        return self.binary[start : start + size], self._natural(view.get("byteStride", 0))

    def _check_picture(self, view: int) -> None:
        data, _ = self._view(view)
        try:
            with Image.open(io.BytesIO(data), formats=PICTURES) as picture:
                width, height = picture.size
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise refused(self.path, "a texture is not a JPEG, PNG or WebP picture") from error
        if width * height > MAX_TEXTURE_PIXELS:
            raise refused(self.path, f"a texture has {width} x {height} pixels")

    def _accessor(self, index: Any) -> dict[str, Any]:
        accessor: dict[str, Any] = self._index(index, self.document.get("accessors", []))
        if index not in self._accessors:
            self._check_accessor(accessor)
            self._accessors[index] = accessor
        return accessor

    def _check_accessor(self, accessor: dict[str, Any]) -> None:
        if "sparse" in accessor or "bufferView" not in accessor:
            raise refused(self.path, "it uses sparse or empty accessors")
        count, start = (
            self._natural(accessor["count"]),
            self._natural(accessor.get("byteOffset", 0)),
        )
        size = np.dtype(COMPONENT_TYPES[accessor["componentType"]]).itemsize
        row = size * COMPONENTS[accessor["type"]]
        data, stride = self._view(accessor["bufferView"])
        if count and start + (count - 1) * (stride or row) + row > len(data):
            raise refused(self.path, f"it declares {count} items but contains fewer")

    def _check_meshes(self) -> list[tuple[int, int]]:
        """Vertices and faces of each, drawn or not: whoever opens the file reads them all."""
        counts: list[tuple[int, int]] = []
        vertices = faces = primitives = 0
        for mesh in self._list("meshes", MAX_NODES):
            primitives += len(mesh["primitives"])
            if primitives > MAX_PRIMITIVES:
                raise refused(self.path, "it has too many primitives")
            counts.append(self._check_mesh(mesh))
            vertices, faces = vertices + counts[-1][0], faces + counts[-1][1]
            self._limit(vertices, faces)
        return counts

    def _check_mesh(self, mesh: dict[str, Any]) -> tuple[int, int]:
        """Vertices and faces of the mesh."""
        vertices = faces = 0
        for primitive in mesh["primitives"]:
            self._limit(vertices, faces)  # before more is looked at
            mode = primitive.get("mode", TRIANGLES)
            if mode not in (TRIANGLES, POINTS) or primitive.get("targets"):
                raise refused(self.path, "it contains lines, strips or morph targets")
            if DRACO in primitive.get("extensions", {}):
                points, triangles = self._check_draco(primitive)
                vertices, faces = vertices + points, faces + triangles
                continue
            counts = {
                key: self._accessor(index)["count"]
                for key, index in primitive["attributes"].items()
            }
            if len(set(counts.values())) != 1 or "POSITION" not in counts:
                raise refused(self.path, "its vertices are incomplete")
            vertices += counts["POSITION"]
            drawn = counts["POSITION"]
            if "indices" in primitive:
                drawn = self._check_indices(primitive["indices"], counts["POSITION"])
            faces += drawn // 3 if mode == TRIANGLES else 0
        return vertices, faces

    def _check_draco(self, primitive: dict[str, Any]) -> tuple[int, int]:
        """Vertices and faces that a packed primitive promises."""
        packed = primitive["extensions"][DRACO]
        if not self.compressed or primitive.get("mode", TRIANGLES) != TRIANGLES:
            raise refused(self.path, "it is compressed")
        data, _ = self._view(packed["bufferView"])
        if bytes(data[: len(DRACO_MAGIC)]) != DRACO_MAGIC:
            raise refused(self.path, "its compressed data is not Draco")
        accessors = self.document.get("accessors", [])
        counts = {
            self._natural(self._index(index, accessors)["count"])
            for index in primitive["attributes"].values()
        }
        drawn = self._natural(self._index(primitive["indices"], accessors)["count"])
        if len(counts) != 1 or "POSITION" not in packed["attributes"]:
            raise refused(self.path, "its vertices are incomplete")
        if max(*counts, drawn) > MAX_PER_DRACO_BYTE * len(data):
            raise refused(self.path, "it declares more vertices than it can contain")
        return counts.pop(), drawn // 3

    def _check_indices(self, index: Any, vertices: int) -> int:
        accessor = self._accessor(index)
        if index not in self._largest:
            self._largest[index] = self._largest_index(accessor)
        if self._largest[index] >= vertices:
            raise refused(self.path, "a face refers to a missing vertex")
        return int(accessor["count"])

    def _largest_index(self, accessor: dict[str, Any]) -> int:
        kind = COMPONENT_TYPES[accessor["componentType"]]
        data, stride = self._view(accessor["bufferView"])
        if kind not in ("u1", "<u2", "<u4") or stride or accessor["type"] != "SCALAR":
            raise refused(self.path, "its indices are not whole numbers")
        count, start = int(accessor["count"]), accessor.get("byteOffset", 0)
        values: npt.NDArray[Any] = np.frombuffer(data, kind, count, start)
        return int(values.max(initial=0)) if count else -1

    def _mesh_uses(self, meshes: int) -> dict[int, int]:
        """How often each mesh is drawn; the node graph must be a forest."""
        nodes = self._list("nodes", MAX_NODES)
        parents: set[int] = set()
        for node in nodes:
            for child in node.get("children", []):
                self._index(child, nodes)
                if child in parents:
                    raise refused(self.path, "its nodes do not form a tree")
                parents.add(child)
        uses: dict[int, int] = {}
        reached = 0
        level = [i for i in range(len(nodes)) if i not in parents]
        for _ in range(MAX_DEPTH):
            reached += len(level)
            for i in level:
                if "mesh" in nodes[i]:
                    mesh = self._natural(nodes[i]["mesh"])
                    self._index(mesh, [None] * meshes)
                    uses[mesh] = uses.get(mesh, 0) + 1
            level = [child for i in level for child in nodes[i].get("children", [])]
        if reached != len(nodes):
            raise refused(self.path, "its nodes form a cycle or are nested too deeply")
        return uses
