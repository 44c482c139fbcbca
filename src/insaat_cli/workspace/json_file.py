"""Files that survive: JSON that holds either the old or the new text, and writes that are done."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

FLUSHERS = 8
"""A journal takes many at once in the time of one."""


def write_json(path: Path, value: Any) -> None:
    """Write `value` so that `path` holds either the old or the new text, whatever happens.

    ASCII only: names of files need not be valid Unicode, and come back as they were.
    """
    fresh = path.with_name(f".{path.name}.tmp")
    with fresh.open("w", encoding="ascii") as stream:
        json.dump(value, stream, indent=1, default=str)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    flush_folder(path.parent)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; {} where there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def flush_files(folder: Path) -> None:
    """Make all files below `folder`, and their names, survive a power cut."""
    paths = [path for path in folder.rglob("*") if not path.is_symlink()]
    kept = [path for path in paths if path.is_file() or path.is_dir()]
    with ThreadPoolExecutor(FLUSHERS) as pool:
        list(pool.map(flush_folder, [*kept, folder]))


def flush_folder(folder: Path) -> None:
    """Make renames in `folder` (or the bytes of a file) survive a power cut, where the file system
    can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
