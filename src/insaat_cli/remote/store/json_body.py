"""JSON of others, read without trusting it: its size, its depth and the types of its fields.

Whoever may write to a bucket may put anything under any key. What cannot be read must end in a
ValueError of the caller's choice of words, never in a RecursionError or in a wrong type far away.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 24
"""Of unknown fields, which are written back as they came; `json.dumps` recurses."""


def read_json(body: bytes) -> dict[str, Any]:
    """The object that `body` holds; ValueError for everything else."""
    try:
        raw = json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(raw, dict):
        raise ValueError("it is not an object")
    if _depth(raw) > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    return raw


class Fields:
    """The fields of one JSON object, each taken once and checked; `rest` are the unknown ones.

    Every method raises ValueError for a field that is missing or of another type."""

    def __init__(self, raw: Any) -> None:
        if not isinstance(raw, Mapping):
            raise ValueError("an object is missing")
        self._raw = dict(raw)

    def take(self, name: str) -> Any:
        if name not in self._raw:
            raise ValueError(f"{name} is missing")
        return self._raw.pop(name)

    def has(self, name: str) -> bool:
        """Whether it says something; what is null is taken, and says nothing."""
        if name in self._raw and self._raw[name] is None:
            del self._raw[name]
        return name in self._raw

    def text(self, name: str, *, most: int) -> str:
        return _text(self.take(name), name, most)

    def whole(self, name: str, *, least: int = 0, most: int) -> int:
        value = self.take(name)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{name} is not a number from {least} to {most}")
        return value

    def number(self, name: str) -> float:
        value = self.take(name)
        if type(value) not in {int, float} or not math.isfinite(value):
            raise ValueError(f"{name} is not a number")
        return float(value)

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if type(value) is not bool:
            raise ValueError(f"{name} is neither true nor false")
        return value

    def texts(self, name: str, *, most: int, each: int) -> tuple[str, ...]:
        value = self.take(name)
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"{name} is not a list of at most {most}")
        return tuple(_text(item, name, each) for item in value)

    def rest(self) -> dict[str, Any]:
        return self._raw


def _text(value: Any, name: str, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{name} is not a text of at most {most} characters")
    value.encode()  # UnicodeEncodeError, a ValueError, for half of a surrogate pair
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _depth(value: Any) -> int:
    """Level by level: a recursion would end where this is to help."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [
            item
            for one in level
            if isinstance(one, (dict, list))
            for item in (one.values() if isinstance(one, dict) else one)
        ]
    return depth
