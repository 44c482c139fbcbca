"""Files on their way: no more than they say, healed where they are wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from insaat_cli.remote.store import transfer
from insaat_cli.remote.store.manifest import FileEntry
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import DamagedError, Facts, Store
from insaat_cli.remote.store.transfer import Move, download, upload_missing


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSE_S", 0.0)


def entry(name: str, body: bytes) -> FileEntry:
    digest = hashlib.sha256(body).hexdigest()
    return FileEntry(path=name, size=len(body), sha256=digest)


def test_no_more_is_drawn_than_an_entry_says(store: Store, tmp_path: Path) -> None:
    """One byte was said, and 40 MB came, four times."""
    store.put("inputs/large", bytes(3_000_000))
    drawn: list[int] = []
    with pytest.raises(DamagedError):
        download(
            store,
            lambda _: "inputs/large",
            [entry("a", b"x")],
            tmp_path / "out",
            progress=drawn.append,
        )
    assert sum(drawn) <= 2
    assert not list((tmp_path / "out").iterdir())


def test_all_that_is_damaged_is_named_and_the_rest_arrives(store: Store, tmp_path: Path) -> None:
    good, bad, worse = entry("good", b"good"), entry("bad", b"bad!"), entry("worse", b"worse")
    keys = {"good": "inputs/g", "bad": "inputs/b", "worse": "inputs/w"}
    for key, body in (("inputs/g", b"good"), ("inputs/b", b"BAD!"), ("inputs/w", b"W")):
        store.put(key, body)
    with pytest.raises(DamagedError) as caught:
        download(store, lambda one: keys[one.path], [good, bad, worse], tmp_path / "out")
    assert sorted(caught.value.keys) == ["inputs/b", "inputs/w"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]


def test_a_wrong_part_of_an_earlier_call_proves_nothing(tmp_path: Path) -> None:
    store, one = MemoryStore(), entry("a", b"0123456789")
    store.put("inputs/a", b"0123456789")
    name = hashlib.sha256(f"a {one.sha256}".encode()).hexdigest()[:24]
    (tmp_path / f".{name}.part").write_bytes(b"WRONG")
    download(store, lambda _: "inputs/a", [one], tmp_path)
    assert (tmp_path / "a").read_bytes() == b"0123456789"


@pytest.mark.parametrize("wrong", [b"BODY", b"bod", b"body and more"])
def test_wrong_bytes_under_a_hash_are_sent_again(wrong: bytes, tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "a").write_bytes(b"body")
    move = Move("inputs/a", tmp_path / "a", entry("a", b"body"))
    store.put("inputs/a", wrong)
    assert upload_missing(store, [move]) == 4
    blob = store.get("inputs/a")
    assert blob is not None and blob.body == b"body"
    assert upload_missing(store, [move]) == 0


def test_a_store_that_knows_no_hashes_is_believed_its_sizes(tmp_path: Path) -> None:
    class Ignorant(MemoryStore):
        def facts(self, key: str) -> Facts | None:
            size = self.size(key)
            return None if size is None else Facts(size, None)

    store = Ignorant()
    (tmp_path / "a").write_bytes(b"body")
    store.put("inputs/a", b"BODY")
    assert upload_missing(store, [Move("inputs/a", tmp_path / "a", entry("a", b"body"))]) == 0
