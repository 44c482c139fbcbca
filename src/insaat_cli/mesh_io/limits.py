"""What a model file may hold at most, and the error when it is not what it says it is."""

from __future__ import annotations

from pathlib import Path

from insaat_cli.errors import UsageError

MAX_FACES = 60_000_000
MAX_VERTICES = 120_000_000
MAX_TEXTURE_PIXELS = 16384 * 16384
MAX_TEXTURES = 256
MAX_NODES = 10_000
MAX_PRIMITIVES = 10_000
MAX_JSON_BYTES = 16 << 20
MAX_HEADER_BYTES = 64 << 10


def refused(path: Path, reason: str) -> UsageError:
    """The error for a model file that is broken, or made to do harm."""
    return UsageError(
        f"cannot open {path.name!r}: {reason}",
        hint="use a model from `insaat reconstruct`, or a self-contained GLB or PLY",
    )
