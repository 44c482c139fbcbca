"""The folder in which a worker's jobs are worked on, and whether its disk is fit for that."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from insaat_cli.errors import InsaatError
from insaat_cli.formatting import size
from insaat_cli.workspace.workspace import disk_error, disk_full

FLOOR_BYTES = 256_000_000
"""Free space below which a worker takes no job: logs, results and other programs need some, too."""
PROBE_BYTES = 4096


class Scratch:
    """A folder of its own below `parent` (None: the system's), removed by `close`."""

    def __init__(self, parent: Path | None, *, floor_bytes: int = FLOOR_BYTES) -> None:
        self.where = parent or Path(tempfile.gettempdir())
        self._parent, self._floor_bytes = parent, floor_bytes
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """It is there once `problem` found none."""
        assert self._folder is not None
        return self._folder

    def problem(self, needed_bytes: int = 0) -> InsaatError | None:
        """Why nothing can be written here, or not `needed_bytes`; None where all is well."""
        where = self.where
        try:
            self._write()
            free = shutil.disk_usage(where).free
        except OSError as error:
            return _at_work_folder(disk_error(error, where))
        if free >= needed_bytes + self._floor_bytes:
            return None
        full = disk_full(where)
        wanted = f"{size(needed_bytes)} for the job and " if needed_bytes else ""
        reserve = f"{size(self._floor_bytes)} in reserve"
        full.message += f": {size(free)} free, but {wanted}{reserve} are needed"
        return _at_work_folder(full)

    def close(self) -> None:
        """Remove the folder with all that is in it; what cannot be removed stays."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self) -> None:
        """Statistics of a disk do not tell whether it can be written; a file does."""
        if self._folder is None or not self._folder.is_dir():
            if self._parent is not None:
                self._parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix="insaat-worker-", dir=self._parent))
        with tempfile.NamedTemporaryFile(prefix="probe-", dir=self._folder) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())


def _at_work_folder(error: InsaatError) -> InsaatError:
    error.hint = "free some space there, or choose another disk with --work-folder"
    return error
