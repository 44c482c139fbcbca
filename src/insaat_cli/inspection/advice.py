"""Advice, and photos named in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from insaat_cli.formatting import printable

SHOWN = 4


class Severity(StrEnum):
    """How bad it is."""

    HINT = "hint"
    """The model may be better without it."""
    WARNING = "warning"
    """A part of the model will probably be missing or bad."""
    UNUSABLE = "photos_unusable"
    APART = "photos_do_not_fit"


class Named(Protocol):
    """A photo, as far as words about it need it."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One thing to do, and the photos that it is about."""

    severity: Severity
    kind: str
    text: str
    photos: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "severity": str(self.severity),
            "kind": self.kind,
            "text": self.text,
            "photos": list(self.photos),
        }


def name_list(photos: Sequence[Named], indices: Sequence[int]) -> str:
    """`a.jpg`, `a.jpg and b.jpg`, `a.jpg to f.jpg (6 photos in a row)`, `a, b, c and 9 more`."""
    names = [printable(photos[i].name) for i in indices]
    if len(names) > 2 and indices[-1] - indices[0] == len(indices) - 1:
        return f"{names[0]} to {names[-1]} ({len(names)} photos in a row)"
    if len(names) > SHOWN + 1:
        return f"{', '.join(names[:SHOWN])} and {len(names) - SHOWN} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def advice_on(
    severity: Severity, kind: str, photos: Sequence[Named], indices: Sequence[int], text: str
) -> Advice:
    """Advice about some of the photos; `{photos}` in `text` becomes their names."""
    names = tuple(photos[i].name for i in indices)
    shown = name_list(photos, indices)
    return Advice(severity=severity, kind=kind, text=text.format(photos=shown), photos=names)
