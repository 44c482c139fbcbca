"""Files between a folder and the store: in parallel, resumable, verified by hash."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from insaat_cli.remote.store.manifest import FileEntry, sha256_of
from insaat_cli.remote.store.parallel import Check, in_parallel, no_check
from insaat_cli.remote.store.protocol import (
    CorruptError,
    DamagedError,
    NotThereError,
    Progress,
    Store,
    UncertainError,
)
from insaat_cli.remote.store.safe_paths import inside

PARALLEL = 8
TRIES = 4
DAMAGED_TRIES = 2
"""Of what arrived whole and wrong: the line is checked by itself, so the object will be."""
PAUSE_S = 0.5
PART_SUFFIX = ".part"


@dataclass(frozen=True)
class Move:
    """One object and the file that it is, or becomes."""

    key: str
    path: Path
    entry: FileEntry


def upload_missing(
    store: Store,
    moves: Sequence[Move],
    *,
    progress: Progress | None = None,
    check: Check = no_check,
) -> int:
    """Send content-addressed files that the store lacks; the bytes that were really sent."""
    unique = {move.key: move for move in moves}
    sent: list[int] = []
    told = _checking(check, progress)

    def send(move: Move) -> None:
        check()
        # Other bytes under this hash are what a broken tool left, or worse: they are replaced.
        there = store.facts(move.key)
        if (
            there is None
            or there.size != move.entry.size
            or there.sha256 not in {None, move.entry.sha256}
        ):
            _repeat(partial(store.upload, move.key, move.path, told))
            sent.append(move.entry.size)
        elif progress:
            progress(move.entry.size)

    actions = [partial(send, move) for move in unique.values()]
    in_parallel(actions, threads=PARALLEL, check=check)
    return sum(sent)


def upload(store: Store, moves: Sequence[Move], *, check: Check = no_check) -> None:
    """Send files to keys of their own."""

    def send(move: Move) -> None:
        check()
        _repeat(partial(store.upload, move.key, move.path, _checking(check, None)))

    in_parallel([partial(send, move) for move in moves], threads=PARALLEL, check=check)


def download(
    store: Store,
    prefix_of: Callable[[FileEntry], str],
    entries: Sequence[FileEntry],
    folder: Path,
    *,
    progress: Progress | None = None,
    check: Check = no_check,
) -> None:
    """Bring `entries` into `folder`; each appears there only when its hash is right.

    A partial file of an earlier call is continued. No more bytes are drawn than an entry says.
    Raises DamagedError, once all others are there, if stored bytes are not what the hashes promise;
    StoreError if a name leads out of the folder: then nothing is written.
    """
    targets = [(entry, inside(folder, entry.path)) for entry in entries]
    told = _checking(check, progress)
    damaged: list[DamagedError] = []

    def bring(entry: FileEntry, target: Path) -> None:
        check()
        if is_there(entry, folder):
            if progress:
                progress(entry.size)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _repeat(partial(_fetch, store, prefix_of(entry), entry, target, told))
        except DamagedError as error:
            damaged.append(error)

    actions = [partial(bring, entry, target) for entry, target in targets]
    in_parallel(actions, threads=PARALLEL, check=check)
    if damaged:
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        keys = tuple(key for error in damaged for key in error.keys)
        raise DamagedError(damaged[0].message + more, keys=keys, hint=damaged[0].hint)


def is_there(entry: FileEntry, folder: Path) -> bool:
    """Whether `folder` holds the very file already. StoreError if its name leads out of it."""
    target = inside(folder, entry.path)
    return (
        target.is_file()
        and target.stat().st_size == entry.size
        and sha256_of(target) == entry.sha256
    )


def _fetch(store: Store, key: str, entry: FileEntry, target: Path, progress: Progress) -> None:
    name = hashlib.sha256(f"{entry.path} {entry.sha256}".encode()).hexdigest()[:24]
    part = target.with_name(f".{name}{PART_SUFFIX}")
    have = part.stat().st_size if part.exists() else 0
    if have > entry.size:
        part.unlink()
        have = 0
    if have:
        progress(have)
    if have < entry.size or entry.size == 0:
        part.touch()
        if entry.size:
            left = entry.size - have
            try:
                store.download(key, part, offset=have, length=left, progress=progress)
            except NotThereError:
                raise NotThereError(
                    f"{entry.path} is missing from {store.describe()}",
                    hint="submit the photos again",
                ) from None
    if part.stat().st_size < entry.size and (store.size(key) or 0) >= entry.size:
        raise UncertainError(f"the transfer of {entry.path} was interrupted")
    if part.stat().st_size != entry.size or sha256_of(part) != entry.sha256:
        part.unlink()
        if have:  # what an earlier call left may be what is wrong
            raise UncertainError(f"the transfer of {entry.path} was interrupted")
        raise DamagedError(
            f"{entry.path} in {store.describe()} is damaged: its content does not match its hash",
            keys=(key,),
            hint="submit the photos again, or retry the job",
        )
    part.replace(target)


def _repeat(action: Callable[[], None]) -> None:
    """Try again what may go better the next time."""
    for attempt in range(TRIES):
        try:
            action()
        except (UncertainError, CorruptError) as error:
            tries = TRIES if isinstance(error, UncertainError) else DAMAGED_TRIES
            if attempt >= tries - 1:
                raise
            time.sleep(PAUSE_S * 2**attempt)
        else:
            return


def _checking(check: Check, progress: Progress | None) -> Progress:
    """`progress` that looks at every chunk whether the transfer should go on."""

    def transferred(size: int) -> None:
        check()
        if progress:
            progress(size)

    return transferred
