"""A store in a folder: the queue of one machine, or of machines that share a file system.

Writes go to a temporary file and are renamed into place, so a reader sees the old object or the
new one. Conditional writes hold a lock of the operating system, which a killed process lets go.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from insaat_cli.errors import StoreError
from insaat_cli.remote.store.manifest import sha256_of
from insaat_cli.remote.store.protocol import (
    MAX_OBJECT_BYTES,
    Blob,
    ConflictError,
    Entry,
    Facts,
    Link,
    NotThereError,
    Progress,
    UncertainError,
    check_key,
    check_length,
)

CHUNK_BYTES = 1 << 20
LOCK_SECONDS = 10.0
LOCK_PAUSE_S = 0.002
OWN_FOLDER = ".store"
LOCK_NAME = "lock"
UNFINISHED_S = 24 * 3600.0
"""Temporary files older than that are those of processes that were killed."""


class LocalStore:
    """Objects are files below `root`; OWN_FOLDER in it holds the lock and unfinished writes."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._own = self.root / OWN_FOLDER
        with self._faults("create"):
            self._own.mkdir(parents=True, exist_ok=True)

    def describe(self) -> str:
        return str(self.root)

    def get(self, key: str, *, limit: int = MAX_OBJECT_BYTES) -> Blob | None:
        with self._faults("read"):
            try:
                with self._path(key).open("rb") as file:
                    check_length(key, os.fstat(file.fileno()).st_size, limit)
                    body = file.read(limit)
            except FileNotFoundError:
                return None
        return Blob(body, _tag(body))

    def put(self, key: str, body: bytes) -> None:
        with self._faults("write to"), self._written(body) as fresh, self._lock():
            self._publish(fresh, key)

    def put_if_absent(self, key: str, body: bytes) -> str:
        with self._faults("write to"), self._written(body) as fresh, self._lock():
            if self._path(key).exists():
                raise ConflictError(key)
            self._publish(fresh, key)
        return _tag(body)

    def swap(self, key: str, body: bytes, tag: str) -> str:
        with self._faults("write to"), self._written(body) as fresh, self._lock():
            current = self.get(key)
            if current is None or current.tag != tag:
                raise ConflictError(key)
            self._publish(fresh, key)
        return _tag(body)

    def list(self, prefix: str, *, limit: int | None = None) -> Iterator[Entry]:
        base = self.root / prefix.rpartition("/")[0]
        found = []
        with self._faults("list"):
            for folder, folders, names in os.walk(base):
                if OWN_FOLDER in folders:
                    folders.remove(OWN_FOLDER)
                found += [Path(folder, name) for name in names]
            keyed = sorted((path.relative_to(self.root).as_posix(), path) for path in found)
        matching = [(key, path) for key, path in keyed if key.startswith(prefix)]
        for key, path in matching[:limit]:
            with contextlib.suppress(FileNotFoundError):
                yield Entry(key, path.stat().st_size)

    def folders(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        with self._faults("list"):
            try:
                names = sorted(entry.name for entry in os.scandir(self.root / prefix))
            except FileNotFoundError:
                return
        found = (name for name in names if name > after and (self.root / prefix / name).is_dir())
        yield from itertools.islice(found, limit)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._faults("delete from"), self._lock():
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == self.root:
                    break
                try:
                    parent.rmdir()
                except OSError:
                    break

    def size(self, key: str) -> int | None:
        with self._faults("read"):
            try:
                return self._path(key).stat().st_size
            except FileNotFoundError:
                return None

    def facts(self, key: str) -> Facts | None:
        with self._faults("read"):
            try:
                path = self._path(key)
                return Facts(path.stat().st_size, sha256_of(path))
            except FileNotFoundError:
                return None

    def upload(self, key: str, path: Path, progress: Progress | None = None) -> None:
        with self._faults("write to"):
            temporary = self._temporary()
            with path.open("rb") as source, temporary.open("wb") as target:
                while chunk := source.read(CHUNK_BYTES):
                    target.write(chunk)
                    if progress:
                        progress(len(chunk))
                target.flush()
                os.fsync(target.fileno())
            with self._lock():
                self._publish(temporary, key)

    def download(
        self,
        key: str,
        path: Path,
        *,
        offset: int = 0,
        length: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        # A fault of the target is none of the store, and stays the OSError that it is.
        with path.open("ab") as target:
            for chunk in self._chunks(key, offset, length):
                target.write(chunk)
                if progress:
                    progress(len(chunk))

    def clear_unfinished(self, prefix: str) -> None:
        """Of whatever prefix: temporary files do not tell for which key they were written."""
        with self._faults("clear"):
            for entry in os.scandir(self._own):
                with contextlib.suppress(FileNotFoundError):
                    age_s = time.time() - entry.stat().st_mtime
                    if entry.name != LOCK_NAME and age_s > UNFINISHED_S:
                        Path(entry.path).unlink()

    def link(self, key: str, *, seconds: int, filename: str) -> Link | None:
        return None

    def _chunks(self, key: str, offset: int, length: int | None) -> Iterator[bytes]:
        with self._faults("read"):
            try:
                source = self._path(key).open("rb")
            except FileNotFoundError:
                raise NotThereError(f"{key} is missing from {self.describe()}") from None
            with source:
                source.seek(offset)
                left = sys.maxsize if length is None else length
                while chunk := source.read(min(CHUNK_BYTES, left)):
                    left -= len(chunk)
                    yield chunk

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _temporary(self) -> Path:
        return self._own / f"{os.getpid()}-{secrets.token_hex(8)}"

    @contextlib.contextmanager
    def _written(self, body: bytes) -> Iterator[Path]:
        """A file with `body`, safe on the disk before the lock is taken: a process that is frozen
        or slow while it holds the lock would stop all others."""
        fresh = self._temporary()
        try:
            with fresh.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            yield fresh
        finally:
            fresh.unlink(missing_ok=True)

    def _publish(self, temporary: Path, key: str) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(path)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        descriptor = os.open(self._own / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise UncertainError(
                        f"another process holds the lock of {self.root}",
                        hint="it may hang: find the process that has .store/lock open and end it",
                    )
                time.sleep(LOCK_PAUSE_S)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _faults(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot {action} the store {self.root}: {error.strerror or error}",
                hint="check the folder's permissions and the free space of its disk",
            ) from error


def _try_lock(descriptor: int) -> bool:
    """Take the exclusive lock if it is free; closing the descriptor, or dying, lets it go."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
