"""A transfer that should stop stops in the middle of a file, whatever the line does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insaat_cli.remote.store import s3_multipart
from insaat_cli.remote.store.manifest import FileEntry, describe
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.parallel import in_parallel, no_check
from insaat_cli.remote.store.protocol import Progress
from insaat_cli.remote.store.s3_multipart import upload_parts
from insaat_cli.remote.store.transfer import Move, download, upload, upload_missing

WHOLE_S = 20.0
"""What one file takes over these lines."""
SOON_S = 5.0


class StoppedError(Exception):
    """What a check raises."""


class Deadline:
    def __init__(self, seconds: float = 0.3) -> None:
        self.at = time.monotonic() + seconds

    def __call__(self) -> None:
        if time.monotonic() > self.at:
            raise StoppedError


class Slow(MemoryStore):
    """Gives and takes a file in small pieces."""

    def download(
        self, key: str, path: Path, *, offset: int = 0, progress: Progress | None = None
    ) -> None:
        with path.open("ab") as file:
            for _ in range(int(WHOLE_S / 0.05)):
                file.write(b"x")
                time.sleep(0.05)
                if progress:
                    progress(1)

    def upload(self, key: str, path: Path, progress: Progress | None = None) -> None:
        for _ in range(int(WHOLE_S / 0.05)):
            time.sleep(0.05)
            if progress:
                progress(1)


class Hanging(MemoryStore):
    """Says nothing at all until the test is over."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()

    def download(
        self, key: str, path: Path, *, offset: int = 0, progress: Progress | None = None
    ) -> None:
        self.over.wait(WHOLE_S)

    def upload(self, key: str, path: Path, progress: Progress | None = None) -> None:
        self.over.wait(WHOLE_S)


@pytest.fixture(params=[Slow, Hanging])
def store(request: pytest.FixtureRequest) -> Iterator[MemoryStore]:
    made: MemoryStore = request.param()
    yield made
    if isinstance(made, Hanging):
        made.over.set()


@pytest.fixture
def moves(tmp_path: Path) -> list[Move]:
    (tmp_path / "photo").write_bytes(b"x" * 1000)
    (entry,) = describe(tmp_path, [tmp_path / "photo"])
    return [Move("inputs/photo", tmp_path / "photo", entry)]


def test_a_download_stops_within_a_file(store: MemoryStore, tmp_path: Path) -> None:
    entry = FileEntry(path="photo", size=1000, sha256="0" * 64)
    started = time.monotonic()
    with pytest.raises(StoppedError):
        download(store, lambda _: "inputs/photo", [entry], tmp_path, check=Deadline())
    assert time.monotonic() - started < SOON_S


def test_an_upload_stops_within_a_file(store: MemoryStore, moves: list[Move]) -> None:
    started = time.monotonic()
    with pytest.raises(StoppedError):
        upload(store, moves, check=Deadline())
    with pytest.raises(StoppedError):
        upload_missing(store, moves, check=Deadline())
    assert time.monotonic() - started < SOON_S


class SlowParts:
    """Of boto3's client, what an upload in parts asks of it."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.completed: list[Any] = []

    def list_multipart_uploads(self, **_: Any) -> dict[str, Any]:
        return {}

    def create_multipart_upload(self, **_: Any) -> dict[str, Any]:
        return {"UploadId": "1"}

    def upload_part(self, PartNumber: int, **_: Any) -> dict[str, Any]:
        time.sleep(0.2)
        self.sent.append(PartNumber)
        return {"ETag": f"tag{PartNumber}"}

    def complete_multipart_upload(self, MultipartUpload: Any, **_: Any) -> None:
        self.completed.append(MultipartUpload["Parts"])


@pytest.fixture
def forty_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(s3_multipart, "PART_BYTES", 1000)
    (tmp_path / "large").write_bytes(b"x" * 40_000)
    return tmp_path / "large"


def test_an_upload_in_parts_stops_between_them(forty_parts: Path) -> None:
    client, check = SlowParts(), Deadline()
    with pytest.raises(StoppedError):
        upload_parts(client, {"Bucket": "b", "Key": "k"}, forty_parts, lambda _: check())
    assert len(client.sent) < 20 and not client.completed


def test_an_upload_in_parts_names_them_in_order(forty_parts: Path) -> None:
    client = SlowParts()
    upload_parts(client, {"Bucket": "b", "Key": "k"}, forty_parts, None)
    wanted = [{"PartNumber": n, "ETag": f"tag{n}"} for n in range(1, 41)]
    assert client.completed == [wanted]


def test_after_a_fault_nothing_more_is_begun() -> None:
    begun: list[int] = []

    def action(number: int) -> None:
        begun.append(number)
        time.sleep(0.05)
        if number == 3:
            raise ValueError

    with pytest.raises(ValueError):
        in_parallel([lambda n=n: action(n) for n in range(100)], threads=2, check=no_check)
    assert len(begun) < 10
