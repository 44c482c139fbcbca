"""Which photos match, read from what the matching stage of any pipeline left behind.

COLMAP's database: table `two_view_geometries`, where `pair_id` = 2147483647 * smaller image id +
larger image id, and `rows` counts the verified matches
(https://colmap.github.io/database.html). OpenMVG: its file of verified matches.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from insaat_cli.errors import StageError
from insaat_cli.external.openmvg_matches import read_matches

MAX_IMAGES = 2147483647
DATABASE = "database.db"
VERIFIED = "matches.verified.bin"
LISTING = "sfm_data.json"

Pairs = Mapping[tuple[str, str], int]
"""File names of two working copies → verified matches."""


def verified_pairs(matching: Path, listing: Path | None = None) -> Pairs:
    """What matches, from the output folders of matching and (OpenMVG) listing; {} if unknown."""
    try:
        if (matching / DATABASE).is_file():
            return _from_database(matching / DATABASE)
        if listing is not None and (matching / VERIFIED).is_file():
            return _from_openmvg(matching / VERIFIED, listing / LISTING)
    except (sqlite3.Error, StageError, OSError, ValueError, KeyError, TypeError):
        return {}  # a killed run may leave anything; the report does without
    return {}


def _from_database(path: Path) -> Pairs:
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as database:
        names = dict(database.execute("SELECT image_id, name FROM images"))
        rows = database.execute("SELECT pair_id, rows FROM two_view_geometries WHERE rows > 0")
        found = {}
        for pair_id, count in rows:
            first, second = divmod(pair_id, MAX_IMAGES)
            if first in names and second in names:
                found[str(names[first]), str(names[second])] = int(count)
        return found


def _from_openmvg(path: Path, listing: Path) -> Pairs:
    views = json.loads(listing.read_text(encoding="utf-8"))["views"]
    data = [view["value"]["ptr_wrapper"]["data"] for view in views]
    names = {int(view["id_view"]): str(view["filename"]) for view in data}
    return {
        (names[first], names[second]): len(pairs)
        for (first, second), pairs in read_matches(path).items()
        if first in names and second in names and len(pairs)
    }
