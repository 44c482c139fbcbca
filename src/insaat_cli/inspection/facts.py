"""The facts about each photo of a run, as they stand in run.json and in the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from insaat_cli.check.looks import Tone

NEIGHBOURS_KEPT = 8
"""The strongest of each photo; run.json shall stay small."""
ORDINARY_SPREAD = 4.0


@dataclass(frozen=True, kw_only=True)
class Placed:
    """How well the sparse model holds one photo."""

    points: int
    """That it shares with other photos."""
    track_length: float
    """Mean number of photos that see these points."""
    error_px: float
    """Mean reprojection error at the size of the working copy."""


@dataclass(frozen=True, kw_only=True)
class PhotoFacts:
    """One photo, by the name that the user knows."""

    name: str
    tone: Tone | None = None
    """None where its copy cannot be read."""
    placed: Placed | None = None
    """None where it is not in the model."""
    matches: dict[str, int] = field(default_factory=dict)
    """Verified matches with other photos, by their names."""

    def to_json(self) -> dict[str, Any]:
        strongest = sorted(self.matches.items(), key=lambda item: -item[1])[:NEIGHBOURS_KEPT]
        facts: dict[str, Any] = {"matches": dict(strongest)}
        if self.tone is not None:
            facts |= {
                "sharpness": round(self.tone.sharpness, 4),
                "blown": round(self.tone.blown, 4),
                "black": round(self.tone.black, 4),
                "brightness_stops": round(self.tone.brightness_stops, 3),
            }
        if self.placed is not None:
            facts |= {
                "points": self.placed.points,
                "track_length": round(self.placed.track_length, 2),
                "error_px": round(self.placed.error_px, 3),
            }
        return facts


def much_larger(values: Sequence[float]) -> list[int]:
    """Indices of the values that stand far above the others, by their median absolute deviation."""
    found = np.asarray(values, float)
    if len(found) < ORDINARY_SPREAD:
        return []
    middle = float(np.median(found))
    spread = max(float(np.median(np.abs(found - middle))), 0.05 * abs(middle), 1e-9)
    return [int(i) for i in np.flatnonzero(found > middle + ORDINARY_SPREAD * spread)]
