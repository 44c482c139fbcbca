"""Whose a file is, in a folder that the user named.

    DIR/.insaat.json   {"insaat": 1, "made": {"model.glb": "reconstruct", "cup.stl": "export"}}

The marker names every path that insaat made in DIR, and the command that did; it is written before
what it names. Whatever else lies there is somebody's, and is never replaced unasked, nor removed.
So a folder with other things in it can take results, too: nothing of it is touched.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from insaat_cli.errors import NotWritableError, UsageError
from insaat_cli.formatting import counted, printable
from insaat_cli.workspace.json_file import read_object, write_json

MARKER_NAME = ".insaat.json"
FORMAT = 1
RECONSTRUCT = "reconstruct"
EXPORT = "export"
FETCH = "fetch {job}"
MAX_NAMES = 4
"""Shown in a message."""
CHOOSE = "choose another folder with -o"


def made_by(folder: Path, maker: str) -> frozenset[str]:
    """The paths in `folder`, relative to it, that the command `maker` made."""
    made = _made(folder)
    return frozenset(name for name, by in made.items() if by == maker)


def check_folder(
    folder: Path,
    maker: str,
    names: Collection[str],
    *,
    overwrite: bool = False,
    ours: Collection[str] = (),
) -> None:
    """UsageError where `maker` must not write the paths `names` in `folder`; writes nothing.

    `ours` are paths that are known to be its own though no marker says so. `overwrite` lets files
    and links of others be replaced, never a folder.
    """
    check_writable(folder)
    foreign = _foreign(folder, names, made_by(folder, maker) | {*ours})
    folders = [name for name in foreign if _is_folder(folder / name)]
    if folders and overwrite:
        raise UsageError(
            f"{printable(str(folder / folders[0]))} is a folder that insaat did not make",
            hint=f"move it away, or {CHOOSE}",
        )
    if foreign and not overwrite:
        raise UsageError(
            f"{printable(str(folder))} holds {_listed(foreign)}, which insaat {maker} did not make",
            hint=f"{CHOOSE}, or replace what is there with --overwrite",
        )


def claim_folder(
    folder: Path,
    maker: str,
    names: Collection[str],
    *,
    overwrite: bool = False,
    ours: Collection[str] = (),
) -> None:
    """Make the paths `names` in `folder` those of `maker`, before it writes them.

    Checks as `check_folder` does; the folder is created where it is missing. Raises OSError, too.
    """
    check_folder(folder, maker, names, overwrite=overwrite, ours=ours)
    folder.mkdir(parents=True, exist_ok=True)
    made = _made(folder)
    for name in _foreign(folder, names, made_by(folder, maker) | {*ours}):
        if (folder / name).is_symlink():  # writing must not go through it
            (folder / name).unlink()
    claimed = {**made, **dict.fromkeys((*ours, *names), maker)}
    if claimed != made:
        write_json(folder / MARKER_NAME, {"insaat": FORMAT, "made": dict(sorted(claimed.items()))})


def check_writable(folder: Path) -> None:
    """UsageError unless `folder` is one that can be written to, or created."""
    resolved = Path(os.path.realpath(folder))
    if resolved == Path(resolved.anchor):
        raise UsageError(f"{resolved} is the root of the file system", hint=CHOOSE)
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UsageError(f"{printable(str(there))} is a file, not a folder", hint=CHOOSE)
    if not os.access(there, os.W_OK | os.X_OK):
        raise NotWritableError(
            f"cannot write to {printable(str(there))}",
            hint="choose a writable output folder with -o",
        )


def _made(folder: Path) -> dict[str, str]:
    made = read_object(folder / MARKER_NAME).get("made")
    return {str(name): str(by) for name, by in made.items()} if isinstance(made, dict) else {}


def _foreign(folder: Path, names: Iterable[str], ours: Collection[str]) -> list[str]:
    return [name for name in names if name not in ours and os.path.lexists(folder / name)]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _listed(names: list[str]) -> str:
    shown = [printable(name) for name in names[:MAX_NAMES]]
    if more := len(names) - len(shown):
        shown.append(counted(more, "other"))
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
