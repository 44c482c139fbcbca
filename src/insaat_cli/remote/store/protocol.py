"""What a store must be able to do, whether it is a folder or an S3 bucket.

The queue needs little: whole-object reads and writes, a write that succeeds only if the key is
free, a write that succeeds only if the object is still the one that was read, listing, deletion.
A conditional write ends in one of three ways, and the caller must tell them apart: it was done
(returns), it was not done (ConflictError), or nobody knows (UncertainError: the reply was lost, or
the server said "try again"; the write may even be delivered later).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from insaat_cli.errors import InsaatError, StoreError

KEY_PATTERN = re.compile(r"[A-Za-z0-9!_.+=-]+(/[A-Za-z0-9!_.+=-]+)*")
MAX_OBJECT_BYTES = 64 << 20
"""What is read as a whole is smaller: the longest manifest has some 20 MB."""
Progress = Callable[[int], None]
"""Called with the number of bytes that were just transferred."""


class ConflictError(Exception):
    """A conditional write was surely not done: the object is not what the condition says."""


class UncertainError(StoreError):
    """The store did not answer, or asked to come back later; a write may or may not be done."""


class NotThereError(StoreError):
    """An object that should be there is not."""


class CorruptError(StoreError):
    """An object's bytes are not those that its hash promises."""


class DamagedError(CorruptError):
    """Objects were read from their first byte and are not what their hashes promise."""

    def __init__(self, message: str, *, keys: tuple[str, ...], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.keys = keys


class TooLargeError(CorruptError):
    """An object is larger than anything that can be meant for its key."""


@dataclass(frozen=True)
class Blob:
    """An object as it was read. `tag` changes whenever the bytes change."""

    body: bytes
    tag: str


@dataclass(frozen=True)
class Entry:
    """One line of a listing; `size` in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class Facts:
    """What a store says of an object; `sha256` only where it is sure of it."""

    size: int
    sha256: str | None


@dataclass(frozen=True)
class Link:
    """An address that anybody can open, for a time."""

    url: str
    seconds: float | None
    """How long: what was asked for, or less where the credentials that sign it end before. None
    where they end nobody knows when."""


class Store(Protocol):
    """Keys match KEY_PATTERN. Every method may raise StoreError (UncertainError included)."""

    def describe(self) -> str:
        """The store's address for messages, without credentials."""

    def get(self, key: str, *, limit: int = MAX_OBJECT_BYTES) -> Blob | None:
        """The whole object (small ones: states, specs, manifests), or None.

        TooLargeError, before its bytes are read, if there are more than `limit` of them."""

    def put(self, key: str, body: bytes) -> None:
        """Write without condition; repeated after a fault, so only for what may be repeated."""

    def put_if_absent(self, key: str, body: bytes) -> str:
        """Create; ConflictError if the key is taken. One attempt. Returns the tag."""

    def swap(self, key: str, body: bytes, tag: str) -> str:
        """Replace the object whose tag is `tag`; ConflictError if it is another or gone.

        One attempt. Returns the new tag."""

    def list(self, prefix: str, *, limit: int | None = None) -> Iterator[Entry]:
        """Objects whose key starts with `prefix`, in the order of their keys."""

    def folders(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        """Names of the folders directly below `prefix` (which ends with /), in their order.

        At most `limit` of those that come after the name `after`."""

    def delete(self, key: str) -> None:
        """Remove; no error if it is not there."""

    def size(self, key: str) -> int | None:
        """Bytes of the object, or None if it is not there."""

    def facts(self, key: str) -> Facts | None:
        """Size and, where the store knows it, the hash of the object; None if it is not there."""

    def upload(self, key: str, path: Path, progress: Progress | None = None) -> None:
        """Write a file of any size; the object appears whole or not at all."""

    def download(
        self,
        key: str,
        path: Path,
        *,
        offset: int = 0,
        length: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Append the object's bytes from `offset` on to `path`; NotThereError if it is gone.

        `length`: at most so many, however large it is.

        Raises OSError where `path` cannot be written: that is no fault of the store."""

    def clear_unfinished(self, prefix: str) -> None:
        """Remove what uploads below `prefix` left that nobody will go on with."""

    def link(self, key: str, *, seconds: int, filename: str) -> Link | None:
        """A link that anybody can open for `seconds`, or None if this store has no such thing."""


def check_length(key: str, length: int, limit: int) -> None:
    """Raises TooLargeError."""
    if length > limit:
        raise TooLargeError(f"{key} is too large: {length} bytes, at most {limit} are read")


def check_key(key: str) -> str:
    """`key` itself, if it is one that every store can hold; a programming error otherwise."""
    if not KEY_PATTERN.fullmatch(key) or any(part in {".", ".."} for part in key.split("/")):
        raise InsaatError(f"invalid key {key!r}")
    return key
