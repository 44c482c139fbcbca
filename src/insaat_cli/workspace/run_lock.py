"""One run at a time in one folder, also where the file system has no locks.

`flock` is let go by the kernel when a run ends, in whatever way. Some network file systems have
none; there a file says who is at work, and one that was left by a run that is dead is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from insaat_cli.errors import UsageError
from insaat_cli.workspace.json_file import read_object

LOCK_NAME = ".lock"
NOTE_NAME = ".running"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
HINT = "wait for it to end, or choose another folder with -o"
START_TOLERANCE_S = 2.0


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold `root` for one run. UsageError where another holds it; OSError for a fault of the disk.

    Its lock file stays: to remove it would let two runs hold two files of the same name."""
    with (root / LOCK_NAME).open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another run is using {root}", hint=HINT) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            with _noted(root):
                yield
            return
        yield


@contextlib.contextmanager
def _noted(root: Path) -> Iterator[None]:
    note = root / NOTE_NAME
    own = {"host": socket.gethostname(), "pid": os.getpid(), "since": _started(os.getpid())}
    if note.exists() and not _is_left(read_object(note)):
        _refuse(root, note)
    note.unlink(missing_ok=True)
    try:
        with note.open("x", encoding="utf-8") as file:
            json.dump(own, file)
    except FileExistsError:
        _refuse(root, note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def _refuse(root: Path, note: Path) -> None:
    said = read_object(note)
    raise UsageError(
        f"another run is using {root}, on {said.get('host', 'some machine')}",
        hint=f"{HINT}; if that run is dead, delete {note}",
    )


def _is_left(said: dict[str, object]) -> bool:
    """Whether the run that wrote it is dead, as far as this machine can know."""
    pid = said.get("pid")
    if said.get("host") != socket.gethostname() or type(pid) is not int:
        return False
    since, started = said.get("since"), _started(pid)
    if started is None or not isinstance(since, (int, float)):
        return started is None
    return abs(started - since) > START_TOLERANCE_S  # the number went to another process


def _started(pid: int) -> float | None:
    import psutil  # only where there are no locks: the command line starts without it

    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None
