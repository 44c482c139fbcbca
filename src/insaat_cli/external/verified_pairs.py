"""Which photos match, read from what the matching stage of any pipeline left behind.

COLMAP's database (`engine/colmap/database.py`), or OpenMVG's file of verified matches.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from insaat_cli.engine.colmap.database import read_database
from insaat_cli.errors import StageError
from insaat_cli.external.openmvg_matches import read_matches

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
    with read_database(path) as database:
        names = database.image_names()
        return {
            (names[first], names[second]): count
            for (first, second), count in database.inlier_counts().items()
            if first in names and second in names
        }


def _from_openmvg(path: Path, listing: Path) -> Pairs:
    views = json.loads(listing.read_text(encoding="utf-8"))["views"]
    data = [view["value"]["ptr_wrapper"]["data"] for view in views]
    names = {int(view["id_view"]): str(view["filename"]) for view in data}
    return {
        (names[first], names[second]): len(pairs)
        for (first, second), pairs in read_matches(path).items()
        if first in names and second in names and len(pairs)
    }
