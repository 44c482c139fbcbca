"""A mesh with a texture of one page or several, and its binary glTF file (GLB)."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from insaat_cli.mesh_io.glb_check import MAGIC, VERSION
from insaat_cli.mesh_io.glb_writer import GlbWriter, jpeg_bytes


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


def write_glb(mesh: TexturedMesh, path: Path, *, jpeg_quality: int = 92) -> None:
    """Write a self-contained GLB: one mesh; for each page of the texture one primitive with an
    unlit, double-sided material and one JPEG."""
    writer = GlbWriter()
    for number, page in enumerate(mesh.pages):
        vertices, uv, faces = _own_vertices(mesh, number)
        geometry = writer.triangles(vertices, faces, uv=uv)
        texture = writer.texture(jpeg_bytes(Image.fromarray(page), jpeg_quality))
        name = f"photos {number + 1}" if number else "photos"
        writer.primitive(geometry, writer.material(texture, unlit=True, name=name))
    path.write_bytes(writer.to_bytes())


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


def read_glb(path: Path, *, with_texture: bool = True) -> TexturedMesh:
    """Read a GLB of `write_glb`: for each page positions, texture coordinates, indices and a JPEG.

    Without its texture, whose pages are then one pixel each, it needs a fraction of time and
    memory. Raises ValueError for another kind of file.
    """
    data = path.read_bytes()
    magic, version, _ = struct.unpack_from("<III", data)
    if magic != MAGIC or version != VERSION:
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
