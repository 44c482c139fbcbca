"""The dense cloud of a result, thinned for the page: the points from which the surface was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from insaat_cli.mesh_io.ply_check import END

CLOUD_NAME = "cloud.ply"
HEADER_BYTES = 4096
SERVED_POINTS = 400_000
SENT_POINTS = 150_000
"""In the page to send, where each takes twelve bytes of text."""
KINDS = {"float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8", "uchar": "u1",
         "uint8": "u1"}  # fmt: skip
NEEDED = ("x", "y", "z", "red", "green", "blue")
STRAY_PERCENT = 0.2
ROOM = 0.3
"""Of the box of all but the stray points: how far outside a point may lie and still be shown."""
STEPS = 65535


@dataclass(frozen=True, kw_only=True)
class ThinCloud:
    """Points as the page reads them."""

    count: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    """Corners of the box in which coordinates run from 0 to 65535."""
    data: bytes
    """x, y, z of all points as little-endian 16 bits, then red, green, blue (sRGB) as bytes."""

    def to_json(self) -> dict[str, Any]:
        return {"count": self.count, "low": self.low, "high": self.high}


def thin_cloud(path: Path, most: int) -> ThinCloud | None:
    """At most `most` points of the PLY at `path`, spread evenly over the file.

    None where there is no file, or none of the kind that our stages write: the page can do without.
    Only the points that are kept are read into memory.
    """
    rows = _rows(path)
    if rows is None or not len(rows):
        return None
    some = rows[:: -(-len(rows) // most)]
    places = np.stack([some[axis] for axis in NEEDED[:3]], axis=1).astype(np.float64)
    colors = np.stack([some[channel] for channel in NEEDED[3:]], axis=1).astype(np.uint8)
    sound = np.isfinite(places).all(axis=1)
    if not sound.any():
        return None
    low, high = np.percentile(places[sound], [STRAY_PERCENT, 100 - STRAY_PERCENT], axis=0)
    room = ROOM * max(float((high - low).max()), 1e-9)
    sound &= (places >= low - room).all(axis=1) & (places <= high + room).all(axis=1)
    places, colors = places[sound], colors[sound]
    low, high = places.min(axis=0), places.max(axis=0)
    steps = np.round((places - low) / np.maximum(high - low, 1e-12) * STEPS).astype("<u2")
    return ThinCloud(
        count=len(places),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        data=steps.tobytes() + colors.tobytes(),
    )


def _rows(path: Path) -> npt.NDArray[np.void] | None:
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
        start = head.index(END) + len(END) + 1
        kind, count = _layout(head[:start].decode("ascii"))
        if start + count * kind.itemsize > path.stat().st_size:
            return None
        return np.memmap(path, kind, "r", start, (count,))
    except (OSError, ValueError, KeyError):
        return None


def _layout(header: str) -> tuple[np.dtype[np.void], int]:
    """Type and number of the vertices. ValueError or KeyError for any other PLY than ours."""
    lines = [line.split() for line in header.splitlines() if line]
    if ["format", "binary_little_endian", "1.0"] not in lines:
        raise ValueError("not binary")
    first = next(i for i, words in enumerate(lines) if words[:1] == ["element"])
    _, name, count = lines[first]
    if name != "vertex":
        raise ValueError("vertices are not the first element")
    fields = []
    for words in lines[first + 1 :]:
        if words[0] != "property":
            break
        fields.append((words[2], KINDS[words[1]]))
    kind = np.dtype(fields)
    if not set(NEEDED) <= set(kind.names or ()):
        raise ValueError("no colors")
    return kind, int(count)
