"""Lengths as people write them."""

from __future__ import annotations

import re

from insaat_cli.errors import UsageError

METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0, "km": 1000.0, "in": 0.0254, "ft": 0.3048}
PATTERN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*", re.IGNORECASE)


def parse_length(text: str, option: str) -> float:
    """`120mm` or `1.2 m` in metres. Raises UsageError."""
    match = PATTERN.fullmatch(text)
    factor = METRES.get(match[2].lower()) if match else None
    if match is None or factor is None or float(match[1]) <= 0:
        raise UsageError(
            f"invalid {option} {text!r}",
            hint=f"use a number and a unit ({', '.join(METRES)}), such as 120mm",
        )
    return float(match[1]) * factor


def show_length(metres: float) -> str:
    """`84.2 mm`, `1.25 m`."""
    if metres < 1.0:
        return f"{metres * 1000:.4g} mm"
    return f"{metres:.4g} m"
