"""Files made to do harm are refused before a parser sees them; sound ones pass."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from insaat_cli.errors import UsageError
from insaat_cli.mesh_io.glb_check import check_glb
from insaat_cli.mesh_io.glb_writer import glb_bytes
from insaat_cli.mesh_io.model import Model, Part, read_model
from insaat_cli.mesh_io.ply_check import check_ply

PATH = Path("model.glb")
TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def sound() -> Model:
    texture = Image.new("RGB", (8, 8), (200, 10, 10))
    part = Part(vertices=TETRAHEDRON, faces=FACES, uv=TETRAHEDRON[:, :2], texture=texture)
    return Model(parts=(part,))


def opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[20 + size + 8 :]


def closed(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body


def test_sound_model_passes_and_comes_back(tmp_path: Path) -> None:
    data = glb_bytes(sound())
    facts = check_glb(PATH, data)
    assert (facts.faces, facts.vertices, facts.textures) == (4, 4, 1)
    path = tmp_path / "model.glb"
    path.write_bytes(data)
    part = read_model(path).parts[0]
    assert np.allclose(part.vertices, TETRAHEDRON)
    assert part.uv is not None and np.allclose(part.uv, TETRAHEDRON[:, :2], atol=1e-6)
    assert part.texture is not None and part.texture.size == (8, 8)


def set_in(*keys: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


HOSTILE = {
    "texture from the web": set_in("images", 0, to={"uri": "http://evil.example/track.png"}),
    "texture from the disk": set_in("images", 0, to={"uri": "../../../etc/passwd"}),
    "texture as data": set_in("images", 0, to={"uri": "data:image/svg+xml,<svg/>"}),
    "buffer elsewhere": set_in("buffers", 0, "uri", to="file:///etc/passwd"),
    "buffer too long": set_in("buffers", 0, "byteLength", to=1 << 40),
    "view too long": set_in("bufferViews", 0, "byteLength", to=1 << 40),
    "view before the start": set_in("bufferViews", 0, "byteOffset", to=-4),
    "huge count": set_in("accessors", 0, "count", to=4_000_000_000),
    "count as text": set_in("accessors", 0, "count", to="4"),
    "count as fraction": set_in("accessors", 0, "count", to=4.5),
    "count as truth": set_in("accessors", 0, "count", to=True),
    "sparse": set_in("accessors", 0, "sparse", to={"count": 1 << 30}),
    "no data": set_in("accessors", 0, to={"componentType": 5126, "count": 1 << 31, "type": "VEC3"}),
    "unknown component": set_in("accessors", 0, "componentType", to=9),
    "needs an extension": set_in("extensionsRequired", to=["EVIL_script"]),
    "ring of nodes": set_in("nodes", to=[{"children": [1]}, {"children": [0], "mesh": 0}]),
    "own child": set_in("nodes", to=[{"mesh": 0}, {"children": [1], "mesh": 0}]),
    "two parents": set_in("nodes", to=[{"children": [2]}, {"children": [2]}, {"mesh": 0}]),
    "deep nodes": set_in("nodes", to=[{"children": [i + 1]} for i in range(500)] + [{"mesh": 0}]),
    "too many nodes": set_in("nodes", to=[{"mesh": 0}] * 20_000),
    "mesh that is not there": set_in("nodes", to=[{"mesh": 7}]),
    "many textures": set_in("images", to=[{"bufferView": 2}] * 1000),
    "no mesh": set_in("meshes", to=[]),
    "nodes as text": set_in("nodes", to="nodes"),
    "lists as numbers": set_in("accessors", to=7),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_glb_is_refused(case: str) -> None:
    document, binary = opened(glb_bytes(sound()))
    HOSTILE[case](document)
    with pytest.raises(UsageError, match="cannot open"):
        check_glb(PATH, closed(document, binary))


def test_index_beyond_the_vertices_is_refused() -> None:
    model = sound()
    bad = Part(vertices=TETRAHEDRON, faces=np.where(FACES == 3, 400_000_000, FACES))
    with pytest.raises(UsageError, match="missing vertex"):
        check_glb(PATH, glb_bytes(Model(parts=(*model.parts, bad))))


def looks_at_numbers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many numbers of the file are read, a look each."""
    looks: list[int] = []
    read = np.frombuffer

    def counted(data: Any, kind: str, count: int, start: int) -> Any:
        looks.append(count)
        return read(data, kind, count, start)

    monkeypatch.setattr("insaat_cli.mesh_io.glb_check.np.frombuffer", counted)
    return looks


@pytest.mark.parametrize("mode", [0, 4])
def test_accessor_named_again_and_again_is_read_once(
    mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points draw no faces, so that the limit on faces does not help."""
    looks = looks_at_numbers(monkeypatch)
    document, binary = opened(glb_bytes(sound()))
    primitive = {**document["meshes"][0]["primitives"][0], "mode": mode}
    document["meshes"][0]["primitives"] = [primitive] * 5000
    check_glb(PATH, closed(document, binary))
    assert looks == [12]


@pytest.mark.parametrize("drawn", [True, False])
def test_limit_on_faces_holds_before_all_of_them_are_looked_at(
    drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meshes that no node draws are read by whoever opens the file, too."""
    monkeypatch.setattr("insaat_cli.mesh_io.glb_check.MAX_FACES", 100)
    looks = looks_at_numbers(monkeypatch)
    document, binary = opened(glb_bytes(Model(parts=sound().parts * 50)))
    if not drawn:
        small = opened(glb_bytes(sound()))[0]["meshes"]
        document["meshes"] = [*small, *document["meshes"]]
    with pytest.raises(UsageError, match="vertices and"):
        check_glb(PATH, closed(document, binary))
    assert len(looks) <= 27, "4 faces each"


def test_more_primitives_than_any_model_has_are_refused() -> None:
    document, binary = opened(glb_bytes(sound()))
    document["meshes"][0]["primitives"] *= 10_001
    with pytest.raises(UsageError, match="too many primitives"):
        check_glb(PATH, closed(document, binary))


@pytest.mark.parametrize(
    "picture",
    [b"<svg onload='alert(1)'/>", b"GIF89a" + b"\1" * 40, b"\x89PNG\r\n\x1a\n" + b"\0" * 30],
)
def test_texture_that_is_no_photo_is_refused(picture: bytes) -> None:
    document, binary = opened(glb_bytes(sound()))
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    view["byteOffset"], view["byteLength"] = len(binary), len(picture)
    document["buffers"][0]["byteLength"] = len(binary) + len(picture)
    with pytest.raises(UsageError, match="texture"):
        check_glb(PATH, closed(document, binary + picture))


def test_texture_bomb_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    bomb += struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IDAT" + b"\0" * 8
    document, binary = opened(glb_bytes(sound()))
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    view["byteOffset"], view["byteLength"] = len(binary), len(bomb)
    document["buffers"][0]["byteLength"] = len(binary) + len(bomb)
    with pytest.raises(UsageError, match="texture"):
        check_glb(PATH, closed(document, binary + bomb))


@pytest.mark.parametrize("cut", [0, 3, 12, 19, 60, -1])
def test_truncated_glb_is_refused(cut: int) -> None:
    with pytest.raises(UsageError, match="cannot open"):
        check_glb(PATH, glb_bytes(sound())[:cut])


def test_nested_json_is_refused() -> None:
    text = b"[" * 200_000
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    with pytest.raises(UsageError, match="cannot open"):
        check_glb(PATH, struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body)


PLY = """ply
format {kind} 1.0
element vertex {vertices}
property float x
property float y
property float z
element face {faces}
property list uchar int vertex_indices
end_header
"""


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian"])
@pytest.mark.parametrize(("vertices", "faces"), [(4_000_000_000, 0), (0, 0), (2, 900_000_000)])
def test_ply_that_promises_too_much_is_refused(kind: str, vertices: int, faces: int) -> None:
    tracemalloc.start()
    data = PLY.format(kind=kind, vertices=vertices, faces=faces).encode() + b"0 " * 40
    with pytest.raises(UsageError, match="cannot open"):
        check_ply(Path("a.ply"), data)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "header",
    [
        "ply\nformat ascii 1.0\nelement vertex -1\nend_header\n",
        "ply\nformat ascii 1.0\nelement vertex 1e9\nend_header\n",
        "ply\nformat evil 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
        "ply\nformat ascii 1.0\nproperty float x\nend_header\n1\n",
        "ply\nformat binary_little_endian 1.0\nelement ghost 99999999999\nend_header\n",
        "ply\nelement vertex 1\nproperty float x\nend_header\n1\n",
        "ply\n" + "comment x\n" * 10_000,
        "not a ply",
    ],
)
def test_broken_ply_header_is_refused(header: str) -> None:
    with pytest.raises(UsageError, match="cannot open"):
        check_ply(Path("a.ply"), header.encode())


def test_sound_ply_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.ply"
    rows = "\n".join(" ".join(str(v) for v in row) for row in TETRAHEDRON)
    faces = "\n".join("3 " + " ".join(str(v) for v in row) for row in FACES)
    path.write_text(PLY.format(kind="ascii", vertices=4, faces=4) + rows + "\n" + faces + "\n")
    assert read_model(path).faces == 4
