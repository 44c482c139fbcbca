"""Names, sizes and times as they are shown to people, the same on every surface."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable

KILOBYTE = 1_000
MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
ADDRESS_WITH_LOGIN = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s'\"]*@", re.IGNORECASE)


def printable(name: str) -> str:
    """`name` on one line that no terminal can be confused by: control characters are escaped.

    File names are data of others: a newline would forge a line of output, an escape character
    would recolor the terminal, a surrogate (a name that is not UTF-8) could not be written.
    """
    return "".join(_shown(character) for character in name)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def without_passwords(text: str) -> str:
    """`text` without user and password of the addresses (`amqp://me:secret@host`) in it."""
    return ADDRESS_WITH_LOGIN.sub(r"\1***@", text)


def counted(count: int, singular: str, plural: str = "") -> str:
    """`1 photo`, `3 photos`."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"


def size(size_bytes: float) -> str:
    """`12 kB`, `840 MB`, `1.3 GB` (decimal, as disks and memory budgets are given)."""
    if size_bytes >= GIGABYTE:
        return f"{size_bytes / GIGABYTE:.1f} GB"
    kilobytes = math.ceil(size_bytes / KILOBYTE)
    if 0 < kilobytes < KILOBYTE:
        return f"{kilobytes} kB"
    return f"{size_bytes / MEGABYTE:.0f} MB"


def duration(seconds: float) -> str:
    """`3.4 s`, `42 s`, `2:05 min`, `1:02:05 h`."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h"


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint that lists `known`, and the closest of them first."""
    names = sorted(known)
    return f"{did_you_mean(word, names)} choose from {', '.join(names)}".strip()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the closest of `known`, whatever the case of its letters; "" if none is near."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"did you mean {by_lower[close[0]]}?" if close else ""
