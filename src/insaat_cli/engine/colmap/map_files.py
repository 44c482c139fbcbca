"""Depth and normal maps as COLMAP writes them: "width&height&channels&", then 32-bit floats.

The floats are little-endian and ordered by channel, row, column (`Mat` in COLMAP's `mvs/mat.h`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from insaat_cli.errors import StageError

LONGEST_HEADER = 64


def read_map(path: Path) -> npt.NDArray[np.float32]:
    """(height, width, channels) of one file. Raises StageError if it is not such a file, or cut."""
    content = path.read_bytes()
    parts = content[:LONGEST_HEADER].split(b"&", 3)
    try:
        width, height, channels = (int(part) for part in parts[:3])
    except ValueError:
        raise StageError(f"{path.name} is not a COLMAP map file") from None
    start = sum(len(part) + 1 for part in parts[:3])
    if min(width, height, channels) < 1 or len(content) - start != 4 * width * height * channels:
        raise StageError(f"{path.name} is incomplete", hint="is the disk full?")
    values = np.frombuffer(content, "<f4", offset=start).reshape(channels, height, width)
    return np.ascontiguousarray(np.moveaxis(values, 0, -1), np.float32)


def write_map(path: Path, values: npt.NDArray[np.float32]) -> None:
    """Write (height, width, channels) as COLMAP does."""
    height, width, channels = values.shape
    ordered = np.ascontiguousarray(np.moveaxis(values, -1, 0), "<f4")
    path.write_bytes(f"{width}&{height}&{channels}&".encode() + ordered.tobytes())
