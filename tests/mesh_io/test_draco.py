"""Compressed files hold the same shape, and lies about what is in them are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import DracoPy
import numpy as np
import pytest

from insaat_cli.errors import UsageError
from insaat_cli.mesh_io.glb_check import DRACO, check_glb
from insaat_cli.mesh_io.glb_writer import glb_bytes
from insaat_cli.mesh_io.model import Model, Part, read_model

SIDE = 120
NAME = Path("packed.glb")


@pytest.fixture(scope="module")
def model() -> Model:
    u, v = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    at = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = at[:-1, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, 1:].ravel(), at[1:, :-1].ravel()
    height = 0.1 * np.sin(9 * u) * np.cos(7 * v)
    part = Part(
        vertices=np.stack([u.ravel(), v.ravel(), height.ravel()], axis=1),
        faces=np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]),
        colors=np.stack([255 * u.ravel(), 255 * v.ravel(), 0 * u.ravel()], 1).astype(np.uint8),
    )
    return Model(parts=(part,))


def document_of(data: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", data, 12)
    document: dict[str, Any] = json.loads(data[20 : 20 + length])
    return document


def changed(data: bytes, change: Any) -> bytes:
    """The file with its JSON part changed by `change`."""
    (length,) = struct.unpack_from("<I", data, 12)
    document = document_of(data)
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    head = struct.pack("<III", 0x46546C67, 2, 20 + len(text) + len(rest))
    return head + struct.pack("<II", len(text), 0x4E4F534A) + text + rest


def test_packed_mesh_is_small_and_has_the_same_shape(model: Model) -> None:
    packed, plain = glb_bytes(model, draco=True), glb_bytes(model)
    assert len(packed) < len(plain) / 5
    facts = check_glb(NAME, packed, compressed=True)
    assert facts.faces == model.faces
    document = document_of(packed)
    assert document["extensionsRequired"] == [DRACO]
    view = document["bufferViews"][document["meshes"][0]["primitives"][0]["extensions"][DRACO]
                                   ["bufferView"]]  # fmt: skip
    start = packed.index(b"DRACO", 20 + struct.unpack_from("<I", packed, 12)[0])
    mesh = DracoPy.decode(packed[start : start + view["byteLength"]])
    part = model.parts[0]
    order = np.lexsort(np.round(mesh.points[:, :2], 3).T)
    wanted = part.vertices[np.lexsort(np.round(part.vertices[:, :2], 3).T)]
    assert len(mesh.points) == len(part.vertices)
    assert np.abs(mesh.points[order] - wanted).max() < 1e-4


def test_only_the_viewer_takes_compressed_files(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "packed.glb"
    path.write_bytes(glb_bytes(model, draco=True))
    with pytest.raises(UsageError, match="requires 'KHR_draco"):
        read_model(path)


def huge(document: dict[str, Any]) -> None:
    for accessor in document["accessors"]:
        accessor["count"] = 100_000_000


def uneven(document: dict[str, Any]) -> None:
    document["accessors"][0]["count"] += 1


def elsewhere(document: dict[str, Any]) -> None:
    primitive = document["meshes"][0]["primitives"][0]
    primitive["extensions"][DRACO]["bufferView"] = 7


def not_draco(document: dict[str, Any]) -> None:
    document["bufferViews"][0]["byteOffset"] = 4


@pytest.mark.parametrize("change", [huge, uneven, elsewhere, not_draco])
def test_lies_about_what_is_packed_are_refused(model: Model, change: Any) -> None:
    with pytest.raises(UsageError, match="cannot open"):
        check_glb(NAME, changed(glb_bytes(model, draco=True), change), compressed=True)
