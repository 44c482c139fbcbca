"""OpenMVS's dense clouds: binary PLY whose points end in lists of the views that see them."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.fusion import Cloud
from insaat_cli.errors import StageError

SIZES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "<i2", "int16": "<i2", "ushort": "<u2", "uint16": "<u2",
    "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4",
    "float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8",
}  # fmt: skip
GREY = 128


def read_mvs_cloud(path: Path) -> Cloud:
    """Points, normals and colours in `path`; unknown normals are 0, unknown colours grey.

    Raises StageError for a file that is cut off or none.
    """
    try:
        with path.open("rb") as file:
            count, fixed, lists = _header(file)
            data = np.frombuffer(file.read(), np.uint8)
        rows = _fixed_part(data, count, fixed, lists)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise StageError(f"cannot read {path.name}: {error}") from error
    names = fixed.names or ()
    normals = np.zeros((count, 3), np.float32)
    colours = np.full((count, 3), GREY, np.uint8)
    if "nx" in names:
        normals = np.stack([rows[name] for name in ("nx", "ny", "nz")], 1).astype(np.float32)
    if "red" in names:
        colours = np.stack([rows[name] for name in ("red", "green", "blue")], 1).astype(np.uint8)
    points = np.stack([rows[name] for name in ("x", "y", "z")], 1).astype(np.float32)
    return Cloud(points=points, normals=normals, colours=colours)


def count_elements(path: Path, element: str) -> int:
    """How many of `element` a PLY file announces; 0 where there is no such file."""
    try:
        with path.open("rb") as file:
            for line in iter(file.readline, b""):
                words = line.split()
                if words[:2] == [b"element", element.encode()]:
                    return int(words[2])
                if words[:1] == [b"end_header"]:
                    break
    except (OSError, ValueError):
        return 0
    return 0


def _header(file: IO[bytes]) -> tuple[int, np.dtype[np.void], list[tuple[str, str]]]:
    """Number of points, type of their fixed part, and (count, item) types of their lists."""
    count, fields, lists = 0, [], []
    for raw in iter(file.readline, b""):
        words = raw.decode("ascii").split()
        if words[0] == "format" and words[1] != "binary_little_endian":
            raise ValueError("not a binary little-endian PLY")
        if words[0] == "element":
            if words[1] != "vertex":
                raise ValueError("holds more than points")
            count = int(words[2])
        elif words[0] == "property" and words[1] == "list":
            lists.append((SIZES[words[2]], SIZES[words[3]]))
        elif words[0] == "property":
            if lists:
                raise ValueError("properties after lists")
            fields.append((words[2], SIZES[words[1]]))
        elif words[0] == "end_header":
            return count, np.dtype(fields), lists
    raise ValueError("no header")


def _fixed_part(
    data: npt.NDArray[np.uint8],
    count: int,
    fixed: np.dtype[np.void],
    lists: list[tuple[str, str]],
) -> npt.NDArray[np.void]:
    if not lists:
        return np.frombuffer(data, fixed, count)
    if any(size != "u1" for size, _ in lists):
        raise ValueError("lists longer than 255")
    item_bytes = [np.dtype(item).itemsize for _, item in lists]
    raw, size = data.tobytes(), fixed.itemsize
    starts = np.empty(count, np.int64)
    position = 0
    for index in range(count):
        starts[index] = position
        position += size
        for item in item_bytes:
            position += 1 + item * raw[position]
    if position > len(raw):
        raise ValueError("the file is cut off")
    rows = data[starts[:, None] + np.arange(size)]
    return np.ascontiguousarray(rows).view(fixed).reshape(-1)
