"""The demo's photos: rendered once, taken again by later runs so that these can resume."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from insaat_cli.errors import UsageError
from insaat_cli.formatting import printable
from insaat_cli.workspace.json_file import read_object, write_json
from insaat_cli.workspace.workspace import explain_disk

MIN_DEMO_PHOTOS = 16
"""Around the subject with fewer, neighbours see it from too different sides to match."""
PHOTOS_FOLDER = "photos"
MARKER = "made.json"
DEMO_FORMAT = 1


def photos_folder(output: Path) -> Path:
    """Where `demo_photos` puts the photos."""
    return output / PHOTOS_FOLDER / "images"


def demo_photos(output: Path, *, photos: int) -> Path:
    """The folder of a demo set of `photos` photos inside `output`; made where it is missing."""
    folder = output / PHOTOS_FOLDER
    wanted = {"demo": DEMO_FORMAT, "photos": photos}
    with explain_disk(output):
        made = read_object(folder / MARKER)
        if made.items() >= wanted.items():
            return photos_folder(output)
        if strange := _not_made(folder, made):
            raise UsageError(
                f"{folder} holds files that the demo did not make: {printable(strange[0])}",
                hint="choose another output folder with -o",
            )
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        write_json(folder / MARKER, {"unfinished": True})
        # The renderer compiles code when imported; no other command should wait for that.
        from insaat_cli.scenes import make_photo_set

        make_photo_set(folder, photos=photos)
        write_json(folder / MARKER, {**wanted, "files": _files(folder)})
    return photos_folder(output)


def _not_made(folder: Path, made: dict[str, Any]) -> list[str]:
    """What lies in `folder` that the demo did not put there, as its marker says."""
    there = _files(folder)
    if not made:
        return there
    # An unfinished set was begun in an empty folder; earlier versions kept no list.
    return [name for name in there if name not in made.get("files", there)]


def _files(folder: Path) -> list[str]:
    """Everything below `folder` but folders and the marker."""
    names = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(str(path.relative_to(folder)) for path in names if path.name != MARKER)
