"""The facts about the photos of a run, from what its stages left."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from insaat_cli.check.looks import Tone, tone_of
from insaat_cli.inspection.facts import PhotoFacts, Placed
from insaat_cli.inspection.matched import Pairs

IMAGES_NAME = "images.json"


def source_names(resized: Path) -> dict[str, str]:
    """Working copy → the photo's own name, in order. Raises OSError or ValueError."""
    listed = json.loads((resized / IMAGES_NAME).read_text(encoding="utf-8"))["images"]
    return {str(entry["name"]): str(entry["source"]) for entry in listed}


def facts_of(
    resized: Path,
    pairs: Pairs,
    placed: Mapping[str, Placed],
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
                    name=names[name], tone=tone, placed=placed.get(name), matches=matches[name]
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
