"""Names that came from a store, made safe before any file is touched.

A manifest or a spec is data of others. A path in it may only lead to a place below the folder it
is meant for, on every system: what Windows reads as a drive is refused on Linux, too.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from insaat_cli.errors import StoreError

MAX_PART_BYTES = 255
MAX_PARTS = 16
FORBIDDEN = frozenset('\\:*?"<>|')
RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{name}{n}" for name in ("com", "lpt") for n in range(10)),
}


def contained(name: str) -> PurePosixPath:
    """`name` as a relative path that stays inside; StoreError for everything else."""
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or len(parts) > MAX_PARTS or not all(_plain(part) for part in parts):
        raise StoreError(
            f"unsafe file name {name!r:.200}",
            hint="another program made this job, or it was tampered with; nothing was written",
        )
    return PurePosixPath(*parts)


def inside(root: Path, name: str) -> Path:
    """Where `name` goes below `root`; StoreError also if a symbolic link leads out of it."""
    path = root / contained(name)
    if not path.resolve().is_relative_to(root.resolve()):
        raise StoreError(f"{name!r:.200} leaves {root} through a symbolic link")
    return path


def _plain(part: str) -> bool:
    return (
        part not in {"", ".", ".."}
        and not FORBIDDEN.intersection(part)
        and all(character.isprintable() for character in part)
        and part[-1] not in " ."
        and part.split(".")[0].lower() not in RESERVED
        and len(part.encode("utf-8", "surrogatepass")) <= MAX_PART_BYTES
        and not any("\ud800" <= character <= "\udfff" for character in part)
    )
