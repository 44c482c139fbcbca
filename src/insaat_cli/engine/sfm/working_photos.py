"""The working copies that `resize` made, as images.json lists them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class WorkingPhoto:
    """One entry of images.json, as far as the geometry needs it."""

    name: str
    source: str
    """The name that the user knows."""
    width: int
    height: int
    focal_px: float | None
    camera: int
    """Photos of one group share their intrinsics."""
    gps: tuple[float, float, float] | None = None
    time: str | None = None
    tripod: int | None = None
    """Photos of one number were taken from one tripod, before which the subject turned."""


def read_photos(resized: Path) -> list[WorkingPhoto]:
    """The photos of a `resize` output folder, in its order."""
    entries = json.loads((resized / "images.json").read_text(encoding="utf-8"))["images"]
    return [
        WorkingPhoto(
            name=entry["name"],
            source=entry["source"],
            width=entry["width"],
            height=entry["height"],
            focal_px=entry["focal_px"],
            camera=entry["camera"],
            gps=None if entry["gps"] is None else tuple(entry["gps"]),
            time=entry["time"],
            tripod=entry.get("tripod"),
        )
        for entry in entries
    ]


def some_of(names: list[str], most: int = 5) -> str:
    """A few of the names, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
