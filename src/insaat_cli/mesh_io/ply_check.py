"""A strict look at a PLY header before a parser allocates what it promises.

Format: Greg Turk, "The PLY Polygon File Format", 1994.
"""

from __future__ import annotations

from pathlib import Path

from insaat_cli.mesh_io.limits import MAX_FACES, MAX_HEADER_BYTES, MAX_VERTICES, refused

SIZES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "float", "int32", "uint32", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}
FORMATS = ("ascii", "binary_little_endian", "binary_big_endian")
END = b"end_header"
MAX_PROPERTIES = 64
LIMITS = {"vertex": MAX_VERTICES, "face": MAX_FACES}


def check_ply(path: Path, data: bytes) -> dict[str, int]:
    """Raise UsageError unless `data` can hold what its header says; returns items per element."""
    if not data.startswith(b"ply"):
        raise refused(path, "it is not a PLY")
    end = data.find(END, 0, MAX_HEADER_BYTES)
    if end < 0:
        raise refused(path, "its header does not end")
    lines = data[:end].decode("ascii", errors="replace").splitlines()[1:]
    kind, counts, least = _parse(path, lines)
    body = len(data) - end - len(END)
    if kind == "ascii":
        least = dict.fromkeys(counts, 2)  # a digit and a newline
    needed = sum(count * least[name] for name, count in counts.items())
    if needed > body or any(count and not least[name] for name, count in counts.items()):
        raise refused(path, f"it declares {needed} bytes of data but contains {body}")
    for name, limit in LIMITS.items():
        if counts.get(name, 0) > limit:
            raise refused(path, f"it has {counts[name]} items of kind {name!r}")
    if not counts.get("vertex"):
        raise refused(path, "it has no vertices")
    return counts


def _parse(path: Path, lines: list[str]) -> tuple[str, dict[str, int], dict[str, int]]:
    """Format; items, and least bytes of one item, per element."""
    kind, current = "", ""
    counts: dict[str, int] = {}
    least: dict[str, int] = {}
    properties = 0
    for line in lines:
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                pass
            case ["format", name, "1.0"] if name in FORMATS:
                kind = name
            case ["element", name, count] if count.isdecimal() and len(count) < 12:
                current, counts[name], least[name] = name, int(count), 0
            case ["property", "list", length, item, _] if current and {length, item} <= set(SIZES):
                least[current] += SIZES[length]
                properties += 1
            case ["property", item, _] if current and item in SIZES:
                least[current] += SIZES[item]
                properties += 1
            case _:
                raise refused(path, f"unexpected line in its header: {line[:60]!r}")
    if not kind or properties > MAX_PROPERTIES:
        raise refused(path, "its header is incomplete, or too long")
    return kind, counts, least
