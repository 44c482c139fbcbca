"""Lists of files with their hashes: a job's photos, and what an attempt wrote."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insaat_cli.errors import StoreError
from insaat_cli.remote.store.json_body import read_json
from insaat_cli.remote.store.safe_paths import contained

CHUNK_BYTES = 1 << 20
MAX_FILES = 100_000
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file, by its name inside a folder; `size` in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What attempt `epoch` of `job` wrote."""

    job: str
    epoch: int
    files: tuple[FileEntry, ...]
    spec_sha256: str = ""
    """Of the request that was carried out; "": an earlier version did."""
    photos: tuple[FileEntry, ...] = ()
    """What it was made from."""

    def to_bytes(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False).encode()

    def sha256(self) -> str:
        """Of the stored bytes."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, body: bytes) -> Manifest:
        """Raises StoreError for anything but a manifest whose paths all stay inside."""
        try:
            raw = read_json(body)
            job, epoch, files = str(raw["job"]), int(raw["epoch"]), raw["files"]
            spec_sha256 = str(raw.get("spec_sha256", ""))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"the job's manifest cannot be read: {error}") from error
        return cls(
            job=job,
            epoch=epoch,
            files=file_entries(files),
            spec_sha256=spec_sha256,
            photos=file_entries(raw.get("photos", [])),
        )


def file_entries(raw: Any) -> tuple[FileEntry, ...]:
    """Checked entries; StoreError names the first bad one."""
    if not isinstance(raw, list) or len(raw) > MAX_FILES:
        raise StoreError("the job's file list is missing or too long")
    entries = tuple(_entry(item) for item in raw)
    names = {entry.path.casefold() for entry in entries}
    if len(names) != len(entries):
        raise StoreError("the job's file list names a file twice")
    return entries


def _entry(raw: Any) -> FileEntry:
    if not isinstance(raw, Mapping) or set(raw) != {"path", "size", "sha256"}:
        raise StoreError("an entry of the job's file list is damaged")
    path, size, sha256 = raw["path"], raw["size"], raw["sha256"]
    contained(path)
    if type(size) is not int or size < 0 or not SHA256.fullmatch(str(sha256)):
        raise StoreError(f"the entry {path!r} of the job's file list is damaged")
    return FileEntry(path=path, size=size, sha256=str(sha256))


def describe(root: Path, paths: Iterable[Path]) -> tuple[FileEntry, ...]:
    """Entries of files below `root`."""
    return tuple(
        FileEntry(
            path=path.relative_to(root).as_posix(),
            size=path.stat().st_size,
            sha256=sha256_of(path),
        )
        for path in sorted(paths)
    )


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
