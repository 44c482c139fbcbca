"""Names out of a store never lead out of the folder they are meant for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insaat_cli.errors import StoreError
from insaat_cli.remote.store.manifest import FileEntry, Manifest
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.safe_paths import contained, inside
from insaat_cli.remote.store.transfer import download

BAD = [
    "../x", "a/../../x", "/etc/passwd", "C:\\x", "C:x", "c:/x", "\\\\host\\share", "a\\..\\b",
    "a\0b", "", ".", "..", "a//b", "a/", "./a", "a/.", "nul", "NUL.txt", "a/con.glb", "x.", "x ",
    "a\nb", "a\x1b[31mb", "\ud800", "x" * 256, "/".join("a" * 20), "a:stream", "a?b", "a*b",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_names_are_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    good = FileEntry(path="good", size=1, sha256="0" * 64)
    with pytest.raises(StoreError):
        contained(name)
    entries = [good, FileEntry(path=name, size=1, sha256="0" * 64)]
    store = MemoryStore()
    store.put("k", b"x")
    with pytest.raises(StoreError):
        download(store, lambda entry: "k", entries, out)
    assert [*out.iterdir()] == [] and [*tmp_path.iterdir()] == [out]
    raw = {"job": "j", "epoch": 1, "files": [{"path": name, "size": 1, "sha256": "0" * 64}]}
    with pytest.raises(StoreError):
        Manifest.from_bytes(json.dumps(raw).encode())


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=40))
def test_what_passes_stays_inside(name: str) -> None:
    root = Path("/somewhere/out")
    try:
        path = inside(root, name)
    except StoreError:
        return
    assert path.is_relative_to(root) and path != root and ".." not in path.parts


@pytest.mark.parametrize("name", ["model.glb", "sub/IMG 1.JPG", "größe.jpg", "写真.png", "-x.jpg"])
def test_ordinary_names_pass(name: str) -> None:
    assert contained(name).as_posix() == name


def test_a_symbolic_link_is_no_way_out(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "link").symlink_to(elsewhere)
    with pytest.raises(StoreError, match="symbolic"):
        inside(out, "link/x")


@pytest.mark.parametrize(
    "files",
    [
        "x",
        [1],
        [{"path": "a", "size": -1, "sha256": "0" * 64}],
        [{"path": "a", "size": True, "sha256": "0" * 64}],
        [{"path": "a", "size": 1, "sha256": "zz"}],
        [{"path": 5, "size": 1, "sha256": "0" * 64}],
        [{"path": "a", "size": 1}],
        [
            {"path": "a", "size": 1, "sha256": "0" * 64},
            {"path": "A", "size": 1, "sha256": "0" * 64},
        ],
    ],
)
def test_damaged_lists_are_refused(files: object) -> None:
    body = json.dumps({"job": "j", "epoch": 1, "files": files}).encode()
    with pytest.raises(StoreError):
        Manifest.from_bytes(body)
