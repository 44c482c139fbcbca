"""The graph of matches as SVG: photos on a ring in their order, a line for each pair that match."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from insaat_cli.formatting import printable
from insaat_cli.report.markup import Markup, element

SIDE = 420
RADIUS = 140
UNNAMED_RADIUS = 190
MAX_NAMED = 60
MAX_PHOTOS = 400
NAME_LENGTH = 14


def match_graph(
    photos: Mapping[str, Mapping[str, Any]], registered: frozenset[str]
) -> Markup | None:
    """Photos as `inspection` lists them; None without a single match."""
    names = list(photos)[:MAX_PHOTOS]
    pairs = _pairs(names, photos)
    if not pairs:
        return None
    radius = RADIUS if len(names) <= MAX_NAMED else UNNAMED_RADIUS
    places = [_on_ring(i, len(names), radius) for i in range(len(names))]
    most = max(*pairs.values(), 1)
    lines = [
        _line(places[a], places[b], count / most, f"{names[a]} and {names[b]}: {count} matches")
        for (a, b), count in sorted(pairs.items(), key=lambda item: item[1])
    ]
    dots = [
        _dot(place, name, name in registered or not registered)
        for place, name in zip(places, names, strict=True)
    ]
    labels = [_label(i, names) for i in range(len(names))] if len(names) <= MAX_NAMED else []
    return element(
        "svg",
        *lines,
        *dots,
        *labels,
        viewBox=f"0 0 {SIDE} {SIDE}",
        role="img",
        aria_label=f"{len(names)} photos and {len(pairs)} pairs that match",
        class_="graph",
    )


def _pairs(
    names: Sequence[str], photos: Mapping[str, Mapping[str, Any]]
) -> dict[tuple[int, int], int]:
    index = {name: i for i, name in enumerate(names)}
    found: dict[tuple[int, int], int] = {}
    for name in names:
        matches = photos[name].get("matches")
        for other, count in matches.items() if isinstance(matches, Mapping) else ():
            if other in index and isinstance(count, int | float):
                ends = (min(index[name], index[other]), max(index[name], index[other]))
                found[ends] = int(count)
    return found


def _on_ring(number: int, count: int, radius: float) -> tuple[float, float]:
    angle = 2 * math.pi * number / max(count, 1) - math.pi / 2
    return SIDE / 2 + radius * math.cos(angle), SIDE / 2 + radius * math.sin(angle)


def _line(
    start: tuple[float, float], end: tuple[float, float], strength: float, title: str
) -> Markup:
    """`strength`: 0 to 1."""
    return element(
        "line",
        element("title", printable(title)),
        x1=f"{start[0]:.1f}",
        y1=f"{start[1]:.1f}",
        x2=f"{end[0]:.1f}",
        y2=f"{end[1]:.1f}",
        stroke_width=f"{0.5 + 2.5 * strength:.1f}",
        stroke_opacity=f"{0.2 + 0.6 * strength:.2f}",
        class_="link",
    )


def _dot(place: tuple[float, float], name: str, registered: bool) -> Markup:
    return element(
        "circle",
        element("title", printable(name if registered else f"{name}: not registered")),
        cx=f"{place[0]:.1f}",
        cy=f"{place[1]:.1f}",
        r="3.6",
        class_="camera" if registered else "lost-camera",
    )


def _label(number: int, names: Sequence[str]) -> Markup:
    x, y = _on_ring(number, len(names), RADIUS + 9)
    turn = 360 * number / len(names) - 90
    outwards = turn <= 90
    turn = turn if outwards else turn + 180
    name = names[number].rsplit("/", 1)[-1].rsplit(".", 1)[0]
    short = name if len(name) <= NAME_LENGTH else f"…{name[-NAME_LENGTH + 1 :]}"
    return element(
        "text",
        printable(short),
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        transform=f"rotate({turn:.1f} {x:.1f} {y:.1f})",
        text_anchor="start" if outwards else "end",
        dominant_baseline="central",
    )
