"""What a run takes where nothing else is asked for, and the formats that it can write.

Apart from the rest of the pipeline, since the command line shows it before it loads anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from insaat_cli.errors import UsageError

DEFAULT_PIPELINE = "embedded"
DEFAULT_PRESET = "normal"
ALWAYS_WRITTEN = "glb"
FORMATS = (ALWAYS_WRITTEN, "obj", "ply", "stl")


def check_formats(names: Iterable[str]) -> None:
    """Raise UsageError for an output format that is none of FORMATS."""
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise UsageError(
            f"unknown output format {unknown[0]!r}", hint=f"choose from {', '.join(FORMATS)}"
        )
