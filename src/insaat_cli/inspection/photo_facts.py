"""The facts about each photo of a run, as they stand in run.json and in the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from insaat_cli.inspection.photo_quality import Tone, tone_of

NEIGHBOURS_KEPT = 8
"""The strongest of each photo; run.json shall stay small."""
ORDINARY_SPREAD = 4.0
IMAGES_NAME = "images.json"
Pairs = Mapping[tuple[str, str], int]
"""File names of two working copies → verified matches."""


@dataclass(frozen=True, kw_only=True)
class Registration:
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
    registered: Registration | None = None
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
        if self.registered is not None:
            facts |= {
                "points": self.registered.points,
                "track_length": round(self.registered.track_length, 2),
                "error_px": round(self.registered.error_px, 3),
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


def source_names(resized: Path) -> dict[str, str]:
    """Working copy → the photo's own name, in order. Raises OSError or ValueError."""
    listed = json.loads((resized / IMAGES_NAME).read_text(encoding="utf-8"))["images"]
    return {str(entry["name"]): str(entry["source"]) for entry in listed}


def facts_of(
    resized: Path,
    pairs: Pairs,
    registered: Mapping[str, Registration],
    *,
    threads: int,
    progress: Callable[[float], None] = lambda share: None,
) -> list[PhotoFacts]:
    """The facts of each photo of the `resize` output folder. Raises OSError or ValueError."""
    names = source_names(resized)
    matches: dict[str, dict[str, int]] = {name: {} for name in names}
    for (first, second), count in pairs.items():
        if first in names and second in names:
            matches[first][names[second]] = count
            matches[second][names[first]] = count
    found = []
    with ThreadPoolExecutor(threads) as workers:
        paths = [resized / "images" / Path(name).name for name in names]
        for name, tone in zip(names, workers.map(_tone, paths), strict=True):
            found.append(
                PhotoFacts(
                    name=names[name],
                    tone=tone,
                    registered=registered.get(name),
                    matches=matches[name],
                )
            )
            progress(len(found) / len(names))
    return found


def _tone(path: Path) -> Tone | None:
    try:
        return tone_of(path)
    except (OSError, ValueError, SyntaxError):
        return None


def calibration(cameras: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The different lenses among the `images` of cameras.json."""
    found: dict[str, dict[str, Any]] = {}
    for image in cameras:
        distortion = image.get("distortion") or {}
        lens = {
            "width": image["width"],
            "height": image["height"],
            "focal_px": round(float(image["K"][0][0]), 2),
            "center_px": [round(float(image["K"][row][2]), 2) for row in (0, 1)],
            "model": str(distortion.get("model", "")),
            "distortion": {
                str(key): round(float(value), 6)
                for key, value in (distortion.get("params") or {}).items()
            },
        }
        found.setdefault(json.dumps(lens), lens | {"photos": 0})["photos"] += 1
    return list(found.values())
