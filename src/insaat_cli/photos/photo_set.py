"""The photos of one run: what is used, what is left out, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIN_PHOTOS = 3


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that is used, as its headers describe it."""

    name: str
    """Unique among the photos of the run, for people: relative to the folder it was found in."""
    path: Path
    width: int
    height: int
    """Upright, in pixels."""
    sha256: str
    orientation: int = 1
    """EXIF, 1 to 8."""
    focal_mm: float | None = None
    focal_35mm: float | None = None
    focal_px: float | None = None
    """At the full size; None where the file does not say, or says what cannot be."""
    make: str | None = None
    model: str | None = None
    time: str | None = None
    """ISO 8601."""
    gps: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees (WGS 84), altitude in metres."""
    mask: Path | None = None
    """A picture of the same shape that is black where the photo is not to be used."""
    mask_sha256: str | None = None

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6

    def to_json(self) -> dict[str, Any]:
        fields = dataclasses.asdict(self)
        mask = None if self.mask is None else str(self.mask)
        return {
            **fields,
            "path": str(self.path),
            "gps": self.gps and list(self.gps),
            "mask": mask,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Photo:
        gps, mask = fields["gps"], fields.get("mask")
        paths = {"path": Path(fields["path"]), "mask": Path(mask) if mask else None}
        return cls(**{**fields, **paths, "gps": tuple(gps) if gps else None})


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A file that is not used, and the reason in words."""

    name: str
    path: Path
    reason: str
    is_photo: bool = False
    """Something is lost with it: a photo, or a folder of them, but no duplicate."""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "path": str(self.path),
            "reason": self.reason,
            "is_photo": self.is_photo,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LeftOut:
        return cls(**{"is_photo": False, **fields, "path": Path(fields["path"])})


@dataclass(frozen=True, kw_only=True)
class PhotoSet:
    """The photos of one run, in the order of their names."""

    used: tuple[Photo, ...]
    left_out: tuple[LeftOut, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "photos": [photo.to_json() for photo in self.used],
            "left_out": [file.to_json() for file in self.left_out],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> PhotoSet:
        return cls(
            used=tuple(Photo.from_json(photo) for photo in fields["photos"]),
            left_out=tuple(LeftOut.from_json(file) for file in fields["left_out"]),
        )
