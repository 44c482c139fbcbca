"""Every path of a run, what stands published in it, and the only code that changes that.

    OUT/.insaat.json        what in OUT is ours; see `ownership.py`
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
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from insaat_cli.errors import (
    DiskFullError,
    InsaatError,
    NotWritableError,
    StageError,
    UsageError,
)
from insaat_cli.workspace.json_file import flush_files, flush_folder, read_object, write_json
from insaat_cli.workspace.ownership import (
    RECONSTRUCT,
    check_folder,
    check_writable,
    claim_folder,
    made_by,
)
from insaat_cli.workspace.run_lock import alone

MARKER_NAME = "stage.json"
RESULT_NAME = "result.json"
RECORD_NAME = "run.json"
FIXED_NAMES = (RECORD_NAME, "photos.json", "report.html")
BACKGROUND = "precompile"
"""It writes beside the stages and is none; see `runner/background_compile.py`."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
BAD_NAME = (errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR)
ELSEWHERE_HINT = "choose another folder with -o"
DISK_FULL_HINT = "free some space, then run the same command again: finished stages are reused"


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

    def check(
        self, stages: Collection[str], results: Collection[str] = (), *, overwrite: bool = False
    ) -> None:
        """UsageError where a run of `stages` with these `results` must not, or could not, write
        here; writes nothing.
        """
        names = self._paths(stages, results)
        ours = self._unmarked(names)
        check_folder(self.root, RECONSTRUCT, names, overwrite=overwrite, ours=ours)
        for folder in (self.stages, self.logs):
            check_writable(folder)

    @contextmanager
    def locked(
        self,
        stages: Collection[str] = (),
        results: Collection[str] = (),
        *,
        overwrite: bool = False,
    ) -> Iterator[None]:
        """Hold the workspace for one run, whose own it becomes; it is created where it is missing.

        UsageError as from `check`.
        """
        self.check(stages, results, overwrite=overwrite)
        with ExitStack() as held:
            with explain_disk(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
                held.enter_context(alone(self.root))
                self._claim(self._paths(stages, results), results, overwrite=overwrite)
                for folder in (self.stages, self.logs):
                    folder.mkdir(exist_ok=True)
            yield

    def adopt(self, stages: Collection[str]) -> None:
        """Take published stages for our own that were brought here from another workspace."""
        names = self._paths(stages, ())
        claim_folder(self.root, RECONSTRUCT, names, ours=names)

    def _claim(self, names: list[str], later: Collection[str] = (), *, overwrite: bool) -> None:
        """Write down that `names` are ours. Those of `later` may not be needed: where nothing of
        the name is there yet, the name stays free until it is."""
        ours = self._unmarked(names)
        kept = [name for name in names if name not in later or (self.root / name).exists()]
        claim_folder(self.root, RECONSTRUCT, kept, overwrite=overwrite, ours=ours)

    def _paths(self, stages: Collection[str], results: Collection[str]) -> list[str]:
        """Everything that a run may write here, relative to the root."""
        names = [*FIXED_NAMES, *results]
        for stage in (*stages, BACKGROUND):
            paths = (
                *(self.stages / f"{stage}{ending}" for ending in ("", ".tmp", ".old")),
                self.log(stage),
                self.request(stage),
            )
            names += [str(path.relative_to(self.root)) for path in paths]
        return names

    def _unmarked(self, names: Collection[str]) -> frozenset[str]:
        """What is ours though no marker says so: an earlier version worked here, which had none."""
        record = read_object(self.record)
        if not is_record(record):
            return frozenset()
        listed = record.get("results")
        results = listed if isinstance(listed, list) else []
        found = {str(name) for name in results if (self.root / str(name)).exists()}
        if made_by(self.root, RECONSTRUCT):
            return frozenset(found)
        if not (self.photos.is_file() and self.stages.is_dir()):
            return frozenset()
        stages = [path.parent.name for path in self.stages.glob(f"*/{MARKER_NAME}")]
        ours = {*names, *self._paths(stages, ())}
        return frozenset(found | {name for name in ours if os.path.lexists(self.root / name)})

    def _own_stages(self) -> list[Path]:
        """What runs left below stages/; whatever else lies there is not ours."""
        names = sorted(made_by(self.root, RECONSTRUCT))
        paths = [self.root / name for name in names]
        return [path for path in paths if path.parent == self.stages and os.path.lexists(path)]

    def clean(self) -> None:
        """Remove what a killed run left half done; what it had only to rename is published."""
        leftovers = [path for path in self._own_stages() if path.suffix in (".tmp", ".old")]
        for leftover in sorted(leftovers, key=lambda path: path.suffix, reverse=True):
            folder = leftover.with_suffix("")
            if not os.path.lexists(folder) and _whole_marker(leftover) is not None:
                leftover.rename(folder)
                flush_folder(self.stages)
            remove(leftover)

    def marker(self, stage: str, fingerprint: str | None = None) -> dict[str, Any] | None:
        """The marker of a published stage whose outputs are whole and, where asked, that matches
        `fingerprint`; else None.
        """
        marker = _whole_marker(self.folder(stage))
        if marker is None or fingerprint not in {None, marker.get("fingerprint")}:
            return None
        return marker

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
        flush_files(scratch)  # before its marker: that vouches for what is on the disk
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
        withdrawn(self.folder(stage))

    def drop_stages(self) -> None:
        """Remove what all stages left: only results, report and logs stay."""
        for folder in self._own_stages():
            withdrawn(folder)

    def result_names(self, stage: str, names: Collection[str] = ()) -> tuple[str, ...]:
        """The outputs `names` of a published stage, by default all that it left."""
        own = (MARKER_NAME, RESULT_NAME)
        found = (path.name for path in self.folder(stage).iterdir() if path.name not in own)
        return tuple(names or sorted(found))

    def place_results(
        self, stage: str, names: Collection[str] = (), *, overwrite: bool = False
    ) -> tuple[Path, ...]:
        """Copy files of a published stage to the top of the workspace, each in one step.

        They are copies, so that editing a result can never change what later runs start from.
        """
        folder = self.folder(stage)
        sources = [folder / name for name in self.result_names(stage, names)]
        self._claim([source.name for source in sources], overwrite=overwrite)
        results = []
        for source in sources:
            target = self.root / source.name
            if not source.exists():
                name = source.relative_to(folder)
                raise StageError(f"stage {stage} did not write {name}", stage=stage)
            fresh = target.with_name(f".{target.name}.tmp")
            remove(fresh)
            if source.is_dir():
                shutil.copytree(source, fresh)
                remove(target)
            else:
                shutil.copy2(source, fresh)
            fresh.replace(target)
            results.append(target)
        return tuple(results)

    def set_aside(self, name: str) -> Path:
        """Give a result that the user has changed another name; where it is now."""
        path = self.root / name
        number, free = 2, path.with_name(f"{path.stem}.edited{path.suffix}")
        while os.path.lexists(free):
            free = path.with_name(f"{path.stem}.edited-{number}{path.suffix}")
            number += 1
        path.rename(free)
        return free


def _whole_marker(folder: Path) -> dict[str, Any] | None:
    """The marker in `folder`, if the outputs that it names are there as it says."""
    try:
        marker = json.loads((folder / MARKER_NAME).read_text(encoding="utf-8"))
        sizes = marker["outputs"]
        whole = all(size_of(folder / name) == sizes[name] for name in sizes)
        return {**marker} if whole and "fingerprint" in marker else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_record(value: Mapping[str, Any]) -> bool:
    """Whether `value` is what a run, of whichever version, writes into run.json."""
    stages = value.get("stages")
    return (
        isinstance(value.get("format"), int)
        and isinstance(value.get("insaat"), str)
        and isinstance(value.get("pipeline"), str)
        and isinstance(stages, list)
        and all(isinstance(stage, dict) and "fingerprint" in stage for stage in stages)
    )


@contextmanager
def explain_disk(where: Path, hint: str = ELSEWHERE_HINT) -> Iterator[None]:
    """Turn the faults of a disk into errors that say what to do."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, where, hint) from error


def disk_error(error: OSError, where: Path, hint: str = ELSEWHERE_HINT) -> InsaatError:
    """What `error`, met while writing in `where`, means for the user."""
    if error.errno in DISK_FULL:
        return disk_full(where)
    path = Path(os.fsdecode(error.filename)) if error.filename else where
    if error.errno in NOT_WRITABLE:
        return NotWritableError(f"cannot write to {path}: {error.strerror}", hint=hint)
    if error.errno in BAD_NAME:
        return UsageError(f"cannot write to {path}: {error.strerror}", hint=hint)
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return UsageError(_in_the_way(path), hint=hint)
    return StageError(f"cannot write to {path}: {error.strerror or error}", hint=hint)


def _in_the_way(folder: Path) -> str:
    """What keeps `folder` from being made: itself, or one of its parents."""
    taken = (p for p in (folder, *folder.parents) if os.path.lexists(p) and not p.is_dir())
    path = next(taken, folder)
    nowhere = path.is_symlink() and not path.exists()
    return f"{path} is {'a link to nothing' if nowhere else 'a file, not a folder'}"


def disk_full(where: Path | None) -> DiskFullError:
    of = f" that holds {where}" if where else ""
    return DiskFullError(f"no space left on the disk{of}", hint=DISK_FULL_HINT)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder. Raises OSError where there is nothing."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())


def withdrawn(folder: Path) -> None:
    """Remove the folder of a stage, its marker first; of a link nothing but the link."""
    if not folder.is_symlink():
        (folder / MARKER_NAME).unlink(missing_ok=True)
    remove(folder)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_workspace(folder: Path) -> bool:
    """Whether a run wrote its results and its smaller copies of the photos here."""
    return (folder / "stages").is_dir() and (folder / "photos.json").is_file()
