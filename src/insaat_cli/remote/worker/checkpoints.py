"""Checkpoints keep finished stages in the store, so that the next worker reuses them.

    jobs/JOB/checkpoints/STAGE-FINGERPRINT.json     hash and key of the newest archive
    jobs/JOB/checkpoints/data/STAGE-RANDOM.tar      the published folder of the stage

The pointer is written after its archive, and names the archive's hash: a pointer that can be read
always means a whole archive, whoever else wrote one meanwhile.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import secrets
import shutil
import tarfile
import threading
from contextlib import suppress
from pathlib import Path

from insaat_cli.errors import StoreError
from insaat_cli.remote.queue.keys import checkpoint_prefix
from insaat_cli.remote.store.json_body import read_json
from insaat_cli.remote.store.manifest import FileEntry
from insaat_cli.remote.store.manifest import sha256_of as hash_of
from insaat_cli.remote.store.parallel import Check, no_check
from insaat_cli.remote.store.protocol import CorruptError, NotThereError, Store
from insaat_cli.remote.store.transfer import download
from insaat_cli.workspace.workspace import MARKER_NAME

MAX_POINTER_BYTES = 64 << 10
JOIN_S = 30.0
STAGE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,60}")
ARCHIVE = re.compile(r"/data/[a-z0-9_-]+\.tar")
POINTER = re.compile(r"(?P<stage>[a-z][a-z0-9_-]{0,60})-[0-9a-f]{64}\.json")
log = logging.getLogger("insaat.worker")


class StoppedError(Exception):
    """The checkpoint is not wanted any more."""


def save(
    store: Store,
    job: str,
    stage: str,
    folder: Path,
    scratch: Path,
    *,
    epoch: int = 0,
    check: Check = no_check,
) -> None:
    """Store the published stage in `folder`, of the attempt `epoch`. `scratch` is a folder for the
    archive.

    An upload that is cut off, by `check` or by the store, leaves no parts behind: its key is
    random, so that nobody will go on with it."""
    fingerprint = _fingerprint(folder)
    archive = scratch / f"{stage}-{secrets.token_hex(4)}.tar"
    try:
        with tarfile.open(archive, "w") as tar:
            tar.add(folder, arcname=stage)
        key = f"{checkpoint_prefix(job)}data/{archive.name}"
        size = archive.stat().st_size
        pointer = {"key": key, "size": size, "sha256": hash_of(archive), "epoch": epoch}
        try:
            store.upload(key, archive, lambda size: check())
            check()
        except BaseException:
            store.delete(key)
            store.clear_unfinished(key)
            raise
        store.put(
            f"{checkpoint_prefix(job)}{stage}-{fingerprint}.json", json.dumps(pointer).encode()
        )
    finally:
        archive.unlink(missing_ok=True)


def last_epoch(store: Store, job: str) -> int:
    """The last attempt that stored a stage; 0 if none did, as far as is known."""
    epochs = [0]
    for entry in list(store.list(checkpoint_prefix(job))):
        if POINTER.fullmatch(entry.key.removeprefix(checkpoint_prefix(job))):
            blob = store.get(entry.key, limit=MAX_POINTER_BYTES)
            with suppress(ValueError, KeyError, TypeError):
                epochs.append(int(json.loads(blob.body if blob else b"{}")["epoch"]))
    return max(epochs)


def restore(
    store: Store, job: str, stages: Path, scratch: Path, *, check: Check = no_check
) -> list[str]:
    """Put every stored stage into the folder `stages`; their names.

    The runner compares fingerprints itself, so an archive too many does no harm; one that is
    damaged is left out, and its stage is done again."""
    restored = []
    for entry in list(store.list(checkpoint_prefix(job))):
        match = POINTER.fullmatch(entry.key.removeprefix(checkpoint_prefix(job)))
        if match is None:
            continue
        check()
        try:
            _restore_one(store, entry.key, match["stage"], stages, scratch, check)
        except (NotThereError, CorruptError, FileNotFoundError, tarfile.TarError):
            continue  # FileNotFoundError: an archive of something else
        restored.append(match["stage"])
    return restored


def _restore_one(
    store: Store, pointer_key: str, stage: str, stages: Path, scratch: Path, check: Check
) -> None:
    blob = store.get(pointer_key, limit=MAX_POINTER_BYTES)
    if blob is None:
        raise NotThereError(pointer_key)
    try:
        pointer = read_json(blob.body)
        key = str(pointer["key"])
        archive = FileEntry(
            path=f"{stage}.tar", size=int(pointer["size"]), sha256=str(pointer["sha256"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"invalid checkpoint {pointer_key}") from error
    if not ARCHIVE.fullmatch(key.removeprefix(pointer_key.rpartition("/")[0])):
        raise CorruptError(f"invalid checkpoint {pointer_key}: it names no archive")
    download(store, lambda _: key, [archive], scratch, check=check)
    path = scratch / archive.path
    try:
        unpack(path, scratch / "unpacked")
        if not (stages / stage).exists():
            (scratch / "unpacked" / stage).rename(stages / stage)
    finally:
        path.unlink(missing_ok=True)
        shutil.rmtree(scratch / "unpacked", ignore_errors=True)


def unpack(archive: Path, target: Path) -> None:
    """Files and folders of the tar `archive` into `target`, which need not be there.

    CorruptError for links, devices and paths that lead out. `extractall(filter="data")` would do,
    but Python knows it from 3.11.4 on only, and Debian 12 has 3.11.2.
    """
    target.mkdir(parents=True, exist_ok=True)
    root = target.resolve()
    with tarfile.open(archive) as tar:
        for member in tar:
            try:
                _unpack_one(tar, member, root)
            except (FileExistsError, IsADirectoryError, NotADirectoryError, ValueError) as error:
                raise CorruptError(f"cannot unpack {archive.name}: {error}") from error


def _unpack_one(tar: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    place = (root / member.name).resolve()
    if not place.is_relative_to(root):
        raise CorruptError(f"unsafe path in a checkpoint: {member.name}")
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    source = tar.extractfile(member) if member.isreg() else None
    if source is None:
        raise CorruptError(f"a checkpoint contains a link or device: {member.name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with source, place.open("xb") as file:
        shutil.copyfileobj(source, file)


def _fingerprint(folder: Path) -> str:
    marker = json.loads((folder / MARKER_NAME).read_text(encoding="utf-8"))
    return str(marker["fingerprint"])


class CheckpointThread:
    """One upload at a time. A checkpoint that fails only costs time later."""

    def __init__(self, store: Store, job: str, epoch: int, scratch: Path) -> None:
        self._store, self._job, self._epoch, self._scratch = store, job, epoch, scratch
        self._waiting: queue.SimpleQueue[tuple[str, Path] | None] = queue.SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def keep(self, stage: str, folder: Path) -> None:
        """Store `folder`, the published outputs of `stage`, as soon as possible."""
        self._waiting.put((stage, folder))

    def stop(self) -> None:
        """Forget what waits; what is under way is cut off at its next part."""
        self._stopped = True
        self._waiting.put(None)

    def join(self) -> None:
        """Until nothing is under way, or for as long as one request may take."""
        self._thread.join(JOIN_S)

    def _check(self) -> None:
        if self._stopped:
            raise StoppedError

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None and not self._stopped:
            stage, folder = item
            try:
                save(
                    self._store,
                    self._job,
                    stage,
                    folder,
                    self._scratch,
                    epoch=self._epoch,
                    check=self._check,
                )
            except StoppedError:
                return
            except (StoreError, OSError, tarfile.TarError, ValueError, KeyError) as error:
                log.warning("job %s: cannot checkpoint %s: %s", self._job, stage, error)
