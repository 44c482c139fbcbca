"""OpenMVS's dense clouds: binary PLY whose points end in lists of the views that see them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt

from insaat_cli.errors import StageError
from insaat_cli.external.openmvs_files import SubScene
from insaat_cli.mesh_io.point_cloud import Cloud

SIZES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "<i2", "int16": "<i2", "ushort": "<u2", "uint16": "<u2",
    "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4",
    "float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8",
}  # fmt: skip
GREY = 128
VIEWS = "view_indices"


def read_mvs_cloud(path: Path) -> Cloud:
    """Points, normals and colors in `path`; unknown normals are 0, unknown colors grey.

    Raises StageError for a file that is cut off or none.
    """
    try:
        with path.open("rb") as file:
            header = _read_header(file)
            data = np.frombuffer(file.read(), np.uint8)
        rows = _fixed_part(data, header, _list_starts(data, header))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise StageError(f"cannot read {path.name}: {error}") from error
    count, names = header.count, header.fixed.names or ()
    normals = np.zeros((count, 3), np.float32)
    colors = np.full((count, 3), GREY, np.uint8)
    if "nx" in names:
        normals = np.stack([rows[name] for name in ("nx", "ny", "nz")], 1).astype(np.float32)
    if "red" in names:
        colors = np.stack([rows[name] for name in ("red", "green", "blue")], 1).astype(np.uint8)
    points = np.stack([rows[name] for name in ("x", "y", "z")], 1).astype(np.float32)
    return Cloud(points=points, normals=normals, colors=colors)


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


def join_clouds(clouds: Mapping[Path, SubScene], target: Path) -> int:
    """Write the points of all `clouds`, one of each part, into `target`; returns how many.

    Where boxes overlap, the smallest one's points are taken: its photos are those that see it best,
    and a larger part may lack some. One part is held at a time. Raises StageError for files that
    are cut off, differ in what they hold, or name photos that are not there.
    """
    parts = sorted(clouds.items(), key=lambda item: np.prod(item[1].box[1] - item[1].box[0]))
    count = 0
    try:
        headers = []
        for path, _ in parts:
            with path.open("rb") as file:
                headers.append(_read_header(file))
        if any(header.layout != headers[0].layout for header in headers):
            raise ValueError("its parts have different properties")
        with TemporaryFile(dir=target.parent) as rows:
            smaller: list[npt.NDArray[np.float64]] = []
            for (path, part), header in zip(parts, headers, strict=True):
                own, taken = _own_rows(path, header, part.image_ids, smaller)
                smaller.append(part.box)
                rows.write(taken.data)
                count += own
            rows.seek(0)
            with target.open("wb") as joined:
                joined.write(headers[0].with_count(count))
                shutil.copyfileobj(rows, joined)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise StageError(f"cannot join the parts of the cloud: {error}") from error
    return count


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What a file says of its points: `lists` are (name, item type), each after a byte with its
    length."""

    lines: tuple[bytes, ...]
    count: int
    fixed: np.dtype[np.void]
    lists: tuple[tuple[str, np.dtype[np.generic]], ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.lines))

    @property
    def layout(self) -> tuple[object, ...]:
        return self.fixed, self.lists

    def with_count(self, count: int) -> bytes:
        """The same header for `count` points."""
        element = b"element vertex"
        own = b"%s %d\n" % (element, count)
        return b"".join(own if line.startswith(element) else line for line in self.lines)


def _read_header(file: IO[bytes]) -> _Header:
    lines: list[bytes] = []
    count, fields, lists = 0, [], []
    for raw in iter(file.readline, b""):
        lines.append(raw)
        words = raw.decode("ascii").split()
        if words[0] == "format" and words[1] != "binary_little_endian":
            raise ValueError("not a binary little-endian PLY")
        if words[0] == "element":
            if words[1] != "vertex":
                raise ValueError("contains more than points")
            count = int(words[2])
        elif words[0] == "property" and words[1] == "list":
            if SIZES[words[2]] != "u1":
                raise ValueError("lists longer than 255")
            lists.append((words[4], np.dtype(SIZES[words[3]])))
        elif words[0] == "property":
            if lists:
                raise ValueError("properties after lists")
            fields.append((words[2], SIZES[words[1]]))
        elif words[0] == "end_header":
            return _Header(
                lines=tuple(lines), count=count, fixed=np.dtype(fields), lists=tuple(lists)
            )
    raise ValueError("no header")


def _fixed_part(
    data: npt.NDArray[np.uint8], header: _Header, starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.void]:
    """What each point has beside its lists, which start at `starts`."""
    if not header.lists:
        return np.frombuffer(data, header.fixed, header.count)
    firsts = starts[:, 0] - header.fixed.itemsize
    rows = data[firsts[:, None] + np.arange(header.fixed.itemsize)]
    return np.ascontiguousarray(rows).view(header.fixed).reshape(-1)


def _list_starts(data: npt.NDArray[np.uint8], header: _Header) -> npt.NDArray[np.int64]:
    """Where the lists of each point start (points x lists), with a byte that is their length."""
    raw, size = data.tobytes(), header.fixed.itemsize
    items = [item.itemsize for _, item in header.lists]
    starts = np.empty((header.count, len(items)), np.int64)
    position = 0
    for point in range(header.count):
        position += size
        for number, item in enumerate(items):
            starts[point, number] = position
            position += 1 + item * raw[position]
    if position > len(raw):
        raise ValueError("the file is truncated")
    return starts


def _own_rows(
    path: Path,
    header: _Header,
    ids: npt.NDArray[np.uint32],
    boxes: Sequence[npt.NDArray[np.float64]],
) -> tuple[int, npt.NDArray[np.uint8]]:
    """How many points of a cloud are in none of `boxes`, and their bytes, views renumbered."""
    with path.open("rb") as file:
        file.seek(header.size_bytes)
        data = np.frombuffer(file.read(), np.uint8).copy()
    starts = _list_starts(data, header)
    column = [name for name, _ in header.lists].index(VIEWS)
    _renumber(data, starts[:, column], header.lists[column][1].itemsize, ids)
    rows = _fixed_part(data, header, starts)
    points = np.stack([rows[name] for name in ("x", "y", "z")], 1)
    own = np.ones(header.count, bool)
    for least, greatest in boxes:
        own &= ~((points >= least) & (points <= greatest)).all(axis=1)
    firsts = starts[:, 0] - header.fixed.itemsize
    sizes = np.diff(firsts, append=len(data))
    return int(own.sum()), data[np.repeat(own, sizes)]


def _renumber(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    item_bytes: int,
    ids: npt.NDArray[np.uint32],
) -> None:
    """Put `ids` in the place of a part's own numbers of photos, in `data` itself."""
    lengths = data[starts].astype(np.int64)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    firsts = np.repeat(starts + 1, lengths) + item_bytes * within
    places = firsts[:, None] + np.arange(item_bytes)
    own = np.ascontiguousarray(data[places]).view(f"<u{item_bytes}").reshape(-1)
    if own.size and own.max() >= len(ids):
        raise ValueError("a point is seen by a photo that is not in its part")
    data[places] = ids[own].astype(f"<u{item_bytes}")[:, None].view(np.uint8)
