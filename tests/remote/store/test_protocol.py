"""The same promises, kept by every store: in memory, in a folder, in a real S3 server."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from insaat_cli.errors import InsaatError, StoreError
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.probe import probe
from insaat_cli.remote.store.protocol import ConflictError, NotThereError, Store, UncertainError
from insaat_cli.remote.store.s3_multipart import MULTIPART_FROM_BYTES, PART_BYTES
from insaat_cli.remote.store.s3_store import S3Address, S3Store

RACERS = 8


def test_what_was_put_is_read_back(store: Store) -> None:
    assert store.get("a/b") is None
    store.put("a/b", b"one")
    first = store.get("a/b")
    store.put("a/b", b"two")
    second = store.get("a/b")
    assert first is not None and first.body == b"one"
    assert second is not None and second.body == b"two"
    assert first.tag != second.tag
    assert store.size("a/b") == 3


def test_only_the_first_creator_wins(store: Store) -> None:
    tag = store.put_if_absent("k", b"1")
    with pytest.raises(ConflictError):
        store.put_if_absent("k", b"2")
    blob = store.get("k")
    assert blob is not None and (blob.body, blob.tag) == (b"1", tag)


def test_folders_are_told_a_part_at_a_time(store: Store) -> None:
    names = [f"20260101-00000{number}-aaaaaaaa" for number in range(7)]
    for name in names:
        for below in ("state.json", "attempts/1/log.txt"):
            store.put(f"jobs/{name}/{below}", b"")
    assert list(store.folders("jobs/")) == names
    found: list[str] = []
    while part := list(store.folders("jobs/", after=found[-1] if found else "", limit=3)):
        assert len(part) <= 3
        found += part
    assert found == names


def test_swap_needs_the_current_tag(store: Store) -> None:
    tag = store.put_if_absent("k", b"1")
    newer = store.swap("k", b"2", tag)
    with pytest.raises(ConflictError):
        store.swap("k", b"3", tag)
    assert store.swap("k", b"4", newer) != newer
    store.delete("k")
    with pytest.raises(ConflictError):
        store.swap("k", b"5", newer)
    assert store.get("k") is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk_of_the_reader_is_no_fault_of_the_store(store: Store) -> None:
    store.put("files/one", bytes(100_000))
    with pytest.raises(OSError, match="No space left"):
        store.download("files/one", Path("/dev/full"))


def test_one_of_many_racing_writers_wins(store: Store) -> None:
    def attempt(number: int) -> int | None:
        try:
            store.put_if_absent("race", str(number).encode())
        except (ConflictError, UncertainError):
            return None
        return number

    with ThreadPoolExecutor(RACERS) as pool:
        winners = [won for won in pool.map(attempt, range(RACERS)) if won is not None]
    blob = store.get("race")
    assert blob is not None
    assert winners == [int(blob.body)]


def test_the_probe_passes(store: Store) -> None:
    probe(store)
    assert list(store.list("probe/")) == []


def test_lists_in_order_with_limit_and_folders(store: Store) -> None:
    for name in ("q/c", "q/a", "q/b/x", "q/b/y", "r/z"):
        store.put(name, b"123")
    assert [entry.key for entry in store.list("q/")] == ["q/a", "q/b/x", "q/b/y", "q/c"]
    assert [entry.key for entry in store.list("q/", limit=2)] == ["q/a", "q/b/x"]
    assert [entry.size for entry in store.list("q/a")] == [3]
    assert list(store.folders("q/")) == ["b"]
    assert list(store.list("nothing/")) == []
    assert list(store.folders("nothing/")) == []


def test_lists_more_than_a_page(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(f"many/{number:05d}", b""), range(1203)))
    keys = [entry.key for entry in store.list("many/")]
    assert keys == [f"many/{number:05d}" for number in range(1203)]


def test_deleting_twice_is_no_error(store: Store) -> None:
    store.put("k", b"1")
    store.delete("k")
    store.delete("k")
    assert store.get("k") is None and store.size("k") is None


def test_files_up_and_down_with_resume(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(300_000))
    sent: list[int] = []
    store.upload("files/one", source, sent.append)
    assert sum(sent) == 300_000 == store.size("files/one")
    target.write_bytes(source.read_bytes()[:1234])
    received: list[int] = []
    store.download("files/one", target, offset=1234, progress=received.append)
    assert target.read_bytes() == source.read_bytes()
    assert sum(received) == 300_000 - 1234
    with pytest.raises(NotThereError):
        store.download("files/none", target)


@pytest.mark.parametrize(
    "key", ["../x", "a/../b", "/a", "a//b", "a\\b", "a\0b", "", "a/./b", "C:/x"]
)
def test_keys_stay_in_the_store(store: Store, key: str) -> None:
    with pytest.raises(InsaatError):
        store.put(key, b"x")


class ForgetfulStore(MemoryStore):
    """Accepts conditions and ignores them, as some S3 servers do."""

    def put_if_absent(self, key: str, body: bytes) -> str:
        self.put(key, body)
        blob = self.get(key)
        assert blob is not None
        return blob.tag


class RacyStore(MemoryStore):
    """Checks, then writes, in two steps."""

    def swap(self, key: str, body: bytes, tag: str) -> str:
        blob = self.get(key)
        if blob is None or blob.tag != tag:
            raise ConflictError(key)
        import time

        time.sleep(0.02)
        self.put(key, body)
        changed = self.get(key)
        assert changed is not None
        return changed.tag


@pytest.mark.parametrize(
    ("bad", "named"), [(ForgetfulStore(), "If-None-Match"), (RacyStore(), "If-Match")]
)
def test_the_probe_refuses_a_store_without_conditions(bad: Store, named: str) -> None:
    with pytest.raises(StoreError, match=named):
        probe(bad)


def test_a_large_upload_goes_on_where_it_stopped(
    s3_address: S3Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = S3Store(s3_address)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(1 << 20) * (MULTIPART_FROM_BYTES // (1 << 20) + 3))
    client = store._bulk
    sent: list[int] = []
    real = client.upload_part

    def upload_part(**arguments: object) -> object:
        if arguments["PartNumber"] == 2 and 2 not in sent:
            sent.append(2)
            raise ConnectionResetError("cut off")
        sent.append(int(str(arguments["PartNumber"])))
        return real(**arguments)

    monkeypatch.setattr(client, "upload_part", upload_part)
    with pytest.raises(UncertainError):
        store.upload("big", source)
    assert store.size("big") is None
    before = len(sent)
    store.upload("big", source)
    assert sent[before:] == [2]
    store.download("big", target)
    assert target.read_bytes() == source.read_bytes()
    assert source.stat().st_size > 2 * PART_BYTES


def test_a_presigned_link_opens_without_credentials(s3_address: S3Address) -> None:
    import urllib.request

    store = S3Store(s3_address)
    store.put("page.html", b"<p>hello</p>")
    link = store.link("page.html", seconds=60, filename="page.html")
    assert link is not None and link.seconds == 60
    with urllib.request.urlopen(link.url, timeout=10) as reply:
        assert reply.read() == b"<p>hello</p>"
        assert reply.headers["Content-Type"] == "text/html"


def test_wrong_credentials_bucket_and_network_are_store_errors(
    s3_address: S3Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = S3Address(bucket="nobody-made-this", endpoint=s3_address.endpoint)
    with pytest.raises(StoreError, match="NoSuchBucket"):
        S3Store(nowhere).get("a")
    dead = S3Address(bucket="b-b-b", endpoint="http://127.0.0.1:9")
    with pytest.raises(UncertainError, match="no answer") as caught:
        S3Store(dead).put_if_absent("a", b"")
    assert "network" in caught.value.hint
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-right-one")
    with pytest.raises(StoreError) as refused:
        S3Store(s3_address).put("a", b"")
    assert not isinstance(refused.value, UncertainError)
    assert "not-the-right-one" not in refused.value.message + refused.value.hint


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot create"):
        LocalStore(tmp_path / "file" / "store")
