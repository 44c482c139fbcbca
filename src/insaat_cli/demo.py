"""The demo's photos: rendered once, taken again by later runs so that these can resume."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from insaat_cli.errors import UsageError
from insaat_cli.workspace import explain_disk, write_json

MIN_DEMO_PHOTOS = 16
"""Around the subject with fewer, neighbours see it from too different sides to match."""
PHOTOS_FOLDER = "photos"
MARKER = "made.json"
DEMO_FORMAT = 1


def demo_photos(output: Path, *, photos: int) -> Path:
    """The folder of a demo set of `photos` photos inside `output`; made where it is missing."""
    folder = output / PHOTOS_FOLDER
    wanted = {"demo": DEMO_FORMAT, "photos": photos}
    with explain_disk(output):
        if _made(folder) == wanted:
            return folder / "images"
        if folder.exists() and _made(folder) is None and any(folder.iterdir()):
            raise UsageError(
                f"{folder} holds files that the demo did not make",
                hint="choose another output folder with -o",
            )
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        write_json(folder / MARKER, {"unfinished": True})
        # The renderer compiles code when imported; no other command should wait for that.
        from insaat_cli.scenes import make_photo_set

        make_photo_set(folder, photos=photos)
        write_json(folder / MARKER, wanted)
    return folder / "images"


def _made(folder: Path) -> object:
    """What the marker says; None where there is none."""
    try:
        return json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
