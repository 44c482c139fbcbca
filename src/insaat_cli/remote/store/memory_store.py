"""A store in memory: for the simulation of large fleets, and the measure of the other stores."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

from insaat_cli.remote.store.protocol import (
    MAX_OBJECT_BYTES,
    Blob,
    ConflictError,
    Entry,
    Facts,
    Link,
    NotThereError,
    Progress,
    check_key,
    check_length,
)

PAGE = 1000


class MemoryStore:
    """Objects in a dictionary, behind one lock."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._keys: list[str] = []
        self._lock = threading.Lock()

    def describe(self) -> str:
        return "memory"

    def get(self, key: str, *, limit: int = MAX_OBJECT_BYTES) -> Blob | None:
        with self._lock:
            body = self._objects.get(check_key(key))
        if body is None:
            return None
        check_length(key, len(body), limit)
        return Blob(body, _tag(body))

    def put(self, key: str, body: bytes) -> None:
        with self._lock:
            self._store(check_key(key), body)

    def put_if_absent(self, key: str, body: bytes) -> str:
        with self._lock:
            if check_key(key) in self._objects:
                raise ConflictError(key)
            self._store(key, body)
        return _tag(body)

    def swap(self, key: str, body: bytes, tag: str) -> str:
        with self._lock:
            current = self._objects.get(check_key(key))
            if current is None or _tag(current) != tag:
                raise ConflictError(key)
            self._objects[key] = body
        return _tag(body)

    def list(self, prefix: str, *, limit: int | None = None) -> Iterator[Entry]:
        """A page at a time, as servers do: what changes meanwhile may be seen or not."""
        after, left = "", limit
        while left is None or left > 0:
            room = PAGE if left is None else min(left, PAGE)
            with self._lock:
                keys = [*itertools.islice(self._below(prefix, after), room)]
                entries = [Entry(key, len(self._objects[key])) for key in keys]
            yield from entries
            if len(keys) < room:
                return
            after, left = keys[-1], None if left is None else left - room

    def folders(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        with self._lock:
            below = [key[len(prefix) :] for key in self._below(prefix)]
        names = sorted({name.split("/")[0] for name in below if "/" in name})
        yield from [name for name in names if name > after][:limit]

    def delete(self, key: str) -> None:
        with self._lock:
            if self._objects.pop(check_key(key), None) is not None:
                del self._keys[bisect.bisect_left(self._keys, key)]

    def size(self, key: str) -> int | None:
        with self._lock:
            body = self._objects.get(check_key(key))
        return None if body is None else len(body)

    def facts(self, key: str) -> Facts | None:
        with self._lock:
            body = self._objects.get(check_key(key))
        return None if body is None else Facts(len(body), _tag(body))

    def upload(self, key: str, path: Path, progress: Progress | None = None) -> None:
        body = path.read_bytes()
        self.put(key, body)
        if progress:
            progress(len(body))

    def download(
        self,
        key: str,
        path: Path,
        *,
        offset: int = 0,
        length: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        blob = self.get(key)
        if blob is None:
            raise NotThereError(f"{key} is not in the store")
        with path.open("ab") as file:
            wanted = blob.body[offset:][:length]
            file.write(wanted)
        if progress:
            progress(len(wanted))

    def clear_unfinished(self, prefix: str) -> None:
        """Nothing is ever unfinished here."""

    def link(self, key: str, *, seconds: int, filename: str) -> Link | None:
        return None

    def _store(self, key: str, body: bytes) -> None:
        if key not in self._objects:
            bisect.insort(self._keys, key)
        self._objects[key] = body

    def _below(self, prefix: str, after: str = "") -> Iterator[str]:
        if after:
            start = bisect.bisect_right(self._keys, after)
        else:
            start = bisect.bisect_left(self._keys, prefix)
        for index in range(start, len(self._keys)):
            if not self._keys[index].startswith(prefix):
                return
            yield self._keys[index]


def _tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
