"""Every path of a run, what stands published in it, and the only code that changes that.

    OUT/run.json            the record of the last run
    OUT/photos.json         the photos of the last run
    OUT/stages/NAME/        a published stage: its outputs, result.json and stage.json
    OUT/stages/NAME.tmp/    a stage that is being written; worthless after a crash
    OUT/logs/NAME.log       what the stage printed
    OUT/model.glb …         results

A published folder carries its own marker, `stage.json`, written and flushed before the rename that
publishes it: no crash between two writes can make a folder pass for what it is not.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from insaat_cli.errors import (
    DiskFullError,
    InsaatError,
    NotWritableError,
    StageError,
    UsageError,
)

MARKER_NAME = "stage.json"
RESULT_NAME = "result.json"
RECORD_NAME = "run.json"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Some network file systems have no locks; then nothing keeps two runs apart."""
DISK_FULL_HINT = "free some space, then run the same command again: finished stages are kept"


class Workspace:
    """The folder of one reconstruction."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.record = self.root / RECORD_NAME
        self.photos = self.root / "photos.json"
        self.stages = self.root / "stages"
        self.logs = self.root / "logs"

    def folder(self, stage: str) -> Path:
        return self.stages / stage

    def scratch(self, stage: str) -> Path:
        return self.stages / f"{stage}.tmp"

    def log(self, stage: str) -> Path:
        return self.logs / f"{stage}.log"

    def request(self, stage: str) -> Path:
        return self.logs / f"{stage}.request.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the workspace for one run; it is created where it is missing."""
        with explain_disk(self.root):
            for folder in (self.root, self.stages, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            handle = (self.root / ".lock").open("a+")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another run is working in {self.root}",
                    hint="wait for it to end, or choose another folder with -o",
                ) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise disk_error(error, self.root) from error
            yield

    def clean(self) -> None:
        """Remove what a killed run left half done."""
        for leftover in (*self.stages.glob("*.tmp"), *self.stages.glob("*.old")):
            remove(leftover)

    def marker(self, stage: str, fingerprint: str | None = None) -> dict[str, Any] | None:
        """The marker of a published stage whose outputs are whole and, where asked, that matches
        `fingerprint`; else None.
        """
        try:
            text = (self.folder(stage) / MARKER_NAME).read_text(encoding="utf-8")
            marker = json.loads(text)
            if fingerprint is not None and marker["fingerprint"] != fingerprint:
                return None
            sizes = marker["outputs"]
            whole = all(size_of(self.folder(stage) / name) == sizes[name] for name in sizes)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return dict(marker) if whole else None

    def begin(self, stage: str) -> Path:
        """An empty folder for a new attempt at `stage`."""
        scratch = self.scratch(stage)
        remove(scratch)
        scratch.mkdir()
        return scratch

    def publish(self, stage: str, marker: Mapping[str, Any], outputs: tuple[str, ...]) -> None:
        """Make the scratch folder of `stage` its published one."""
        scratch, folder = self.scratch(stage), self.folder(stage)
        names = [*outputs, RESULT_NAME] if (scratch / RESULT_NAME).exists() else list(outputs)
        sizes = {name: size_of(scratch / name) for name in names}
        write_json(scratch / MARKER_NAME, {**marker, "outputs": sizes})
        older = self.stages / f"{stage}.old"
        remove(older)
        if folder.exists():
            folder.rename(older)
        scratch.rename(folder)
        flush_folder(self.stages)
        remove(older)

    def withdraw(self, stage: str) -> None:
        """Forget the published outputs of `stage`, the marker first."""
        (self.folder(stage) / MARKER_NAME).unlink(missing_ok=True)
        remove(self.folder(stage))

    def drop_stages(self) -> None:
        """Remove what all stages left: only results, report and logs stay."""
        for folder in self.stages.iterdir():
            (folder / MARKER_NAME).unlink(missing_ok=True)
            remove(folder)

    def place_results(self, stage: str, names: tuple[str, ...]) -> tuple[Path, ...]:
        """Copy files of a published stage to the top of the workspace, each in one step.

        They are copies, so that editing a result can never change what later runs start from.
        """
        folder = self.folder(stage)
        if not names:
            own = (MARKER_NAME, RESULT_NAME)
            names = tuple(sorted(p.name for p in folder.iterdir() if p.name not in own))
        placed = []
        for name in names:
            source, target = folder / name, self.root / Path(name).name
            if not source.exists():
                raise StageError(f"stage {stage} did not write {name}", stage=stage)
            fresh = target.with_name(f".{target.name}.tmp")
            remove(fresh)
            if source.is_dir():
                shutil.copytree(source, fresh)
                remove(target)
            else:
                shutil.copy2(source, fresh)
            fresh.replace(target)
            placed.append(target)
        return tuple(placed)


@contextmanager
def explain_disk(where: Path) -> Iterator[None]:
    """Turn the faults of a disk into errors that say what to do."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, where) from error


def disk_error(error: OSError, where: Path) -> InsaatError:
    """What `error`, met while writing in `where`, means for the user."""
    if error.errno in DISK_FULL:
        return disk_full(where)
    path = error.filename or where
    if error.errno in NOT_WRITABLE:
        return NotWritableError(
            f"cannot write to {path}: {error.strerror}",
            hint="choose an output folder that you can write to with -o",
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return UsageError(f"{path} is a file, not a folder", hint="choose another folder with -o")
    return StageError(f"cannot write to {path}: {error.strerror or error}")


def disk_full(where: Path) -> DiskFullError:
    return DiskFullError(f"no space left on the disk of {where}", hint=DISK_FULL_HINT)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder. Raises OSError where there is nothing."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())


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


def flush_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
