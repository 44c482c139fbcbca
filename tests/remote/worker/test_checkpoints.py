"""A stored stage comes back whole, or not at all: a damaged one is done again."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import CorruptError
from insaat_cli.remote.worker.checkpoints import restore, save, unpack
from insaat_cli.workspace.workspace import MARKER_NAME

JOB = "20260101-000000-aaaaaaaa"
PREFIX = f"jobs/{JOB}/checkpoints/"
FINGERPRINT = "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    """With the stage `one` in it."""
    made, folder = MemoryStore(), tmp_path / "one"
    folder.mkdir()
    (folder / MARKER_NAME).write_text(json.dumps({"fingerprint": FINGERPRINT}))
    (folder / "one.bin").write_bytes(bytes(1000))
    save(made, JOB, "one", folder, tmp_path)
    return made


def restored(store: MemoryStore, folder: Path) -> list[str]:
    for name in ("stages", "scratch"):
        (folder / name).mkdir()
    found = restore(store, JOB, folder / "stages", folder / "scratch")
    assert sorted(path.name for path in (folder / "stages").iterdir()) == found
    return found


def keys(store: MemoryStore) -> tuple[str, str]:
    """Of the archive and of its pointer."""
    (archive,) = [e.key for e in store.list(PREFIX + "data/")]
    return archive, f"{PREFIX}one-{FINGERPRINT}.json"


def change(store: MemoryStore, key: str, how: Callable[[bytes], bytes]) -> None:
    blob = store.get(key)
    assert blob is not None
    store.put(key, how(blob.body))


def test_it_comes_back_as_it_was(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "next").mkdir()
    assert restored(store, tmp_path / "next") == ["one"]
    assert (tmp_path / "next/stages/one/one.bin").read_bytes() == bytes(1000)


@pytest.mark.parametrize(
    "how",
    [
        lambda body: body[:-7],
        lambda body: body[:700] + b"\x01" + body[701:],
        lambda body: b"",
    ],
    ids=["truncated", "flipped", "empty"],
)
def test_a_damaged_archive_is_left_out(
    store: MemoryStore, tmp_path: Path, how: Callable[[bytes], bytes]
) -> None:
    change(store, keys(store)[0], how)
    (tmp_path / "next").mkdir()
    assert restored(store, tmp_path / "next") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"key": 1, "size": -1, "sha256": ""}',
        b'{"key": "../../x", "size": 1, "sha256": ""}',
        b'{"key": "inputs/aa/aa", "size": 1, "sha256": ""}',
    ],
)
def test_a_damaged_pointer_is_left_out(store: MemoryStore, tmp_path: Path, body: bytes) -> None:
    store.put(keys(store)[1], body)
    (tmp_path / "next").mkdir()
    assert restored(store, tmp_path / "next") == []


def test_a_pointer_without_its_archive_is_left_out(store: MemoryStore, tmp_path: Path) -> None:
    store.delete(keys(store)[0])
    (tmp_path / "next").mkdir()
    assert restored(store, tmp_path / "next") == []


@pytest.mark.parametrize("name", ["../../evil", "/evil", "other/x", "one/../../evil"])
def test_a_forged_archive_writes_nothing_outside(
    store: MemoryStore, tmp_path: Path, name: str
) -> None:
    """Its hash is right: whoever forged it could write the pointer, too."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"bad"))
    body = packed.getvalue()
    archive, pointer = keys(store)
    store.put(archive, body)
    said = {"key": archive, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    store.put(pointer, json.dumps(said).encode())
    (tmp_path / "next").mkdir()
    before = {path for path in tmp_path.rglob("*") if "next" not in path.parts}
    assert restored(store, tmp_path / "next") == []
    assert {path for path in tmp_path.rglob("*") if "next" not in path.parts} == before


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    "entries",
    [
        [entry("one/link", tarfile.SYMTYPE, "/etc"), entry("one/link/evil")],
        [entry("one/link", tarfile.LNKTYPE, "/etc/passwd")],
        [entry("one/pipe", tarfile.FIFOTYPE)],
        [entry("one/device", tarfile.CHRTYPE)],
        [entry("one/twice"), entry("one/twice")],
        [entry("one/file"), entry("one/file/below")],
        [entry("one/folder", tarfile.DIRTYPE), entry("one/folder")],
    ],
    ids=["link", "hard link", "pipe", "device", "twice", "below a file", "folder and file"],
)
def test_an_archive_of_more_than_files_is_refused(
    tmp_path: Path, entries: list[tarfile.TarInfo]
) -> None:
    with tarfile.open(tmp_path / "one.tar", "w") as tar:
        for one in entries:
            tar.addfile(one)
    with pytest.raises(CorruptError):
        unpack(tmp_path / "one.tar", tmp_path / "unpacked")
