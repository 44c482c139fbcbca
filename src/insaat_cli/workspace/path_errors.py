"""What goes wrong at a path that the user named, in words: no bug, wherever it comes up."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from insaat_cli.errors import InsaatError, NotWritableError, UsageError
from insaat_cli.formatting import printable
from insaat_cli.workspace.workspace import DISK_FULL, disk_full


@contextmanager
def explain_paths() -> Iterator[None]:
    """Turn the faults of paths that the user named into errors; what is no such fault passes."""
    try:
        yield
    except OSError as error:
        explained = path_error(error)
        if explained is None:
            raise
        raise explained from error


def path_error(error: OSError) -> InsaatError | None:
    """What `error`, met at whatever path the user named, means; None where it is our own fault."""
    if error.errno in DISK_FULL:
        return disk_full(Path(os.fsdecode(error.filename)) if error.filename else None)
    if error.filename is not None:
        where = printable(os.fsdecode(error.filename))
        return UsageError(f"cannot use {where}: {error.strerror}")
    try:
        Path.cwd()
    except OSError:
        return UsageError(
            "the current folder no longer exists", hint="change to an existing folder"
        )
    try:
        tempfile.gettempdir()
    except OSError:
        return NotWritableError(
            "no writable temporary folder", hint="set TMPDIR to a writable folder"
        )
    return None
