"""What a photo's EXIF block says about camera, lens, place and time.

Nothing in the block is trusted: cameras, phones and editors write zeros, text of wrong length
and values that contradict each other. A field that makes no sense is a field that is not there.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image

from insaat_cli.photos.sensors import sensor_width_mm

FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
"""35 mm equivalents keep the diagonal field of view (CIPA DCG-001)."""
MILLIMETRES_OF_UNIT = {1: 25.4, 2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Length units of FocalPlaneResolutionUnit; files that say "no unit" mean inches."""
SENSOR_SIDE_MM = (2.0, 70.0)
"""Longest sides of real sensors: from a pinhole module to medium format."""
FOCAL_OF_LONGEST_SIDE = (0.3, 30.0)
"""Focal lengths, in longest sides of the picture, from a fisheye to a long telephoto lens."""
AGREEMENT = 1.15
"""Two ways to the focal length that differ by more contradict each other."""
DAMAGED_EXIF = (
    AttributeError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    ZeroDivisionError,
    struct.error,
)
"""What Pillow raises on a damaged block, by where the damage is."""


@dataclass(frozen=True, kw_only=True)
class ExifFacts:
    """The fields that reconstruction uses; None where the file does not say."""

    orientation: int = 1
    """1 to 8, as in EXIF: how the stored picture must be turned to stand upright."""
    focal_mm: float | None = None
    focal_35mm: float | None = None
    """Focal length in mm with the same diagonal field of view on 36 x 24 mm film."""
    focal_px: float | None = None
    """Focal length in pixels of the full picture."""
    make: str | None = None
    model: str | None = None
    time: str | None = None
    """ISO 8601, with the offset from UTC where the camera wrote one."""
    gps: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees (WGS 84), altitude in metres."""


def read_exif(image: Image.Image) -> ExifFacts:
    """The facts of an opened picture; a damaged block gives what can be read of it."""
    if image.format == "PNG" and not any("exif" in str(key).lower() for key in image.info):
        return ExifFacts()  # Pillow would decode the whole picture to look for one at its end
    base = _directory(image.getexif)
    details = _directory(lambda: image.getexif().get_ifd(ExifTags.IFD.Exif))
    focal_mm = _positive(details.get(ExifTags.Base.FocalLength))
    focal_35mm = _positive(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    make, model = _text(base.get(ExifTags.Base.Make)), _text(base.get(ExifTags.Base.Model))
    return ExifFacts(
        orientation=_orientation(base.get(ExifTags.Base.Orientation)),
        focal_mm=focal_mm,
        focal_35mm=focal_35mm,
        focal_px=focal_in_pixels(
            image.size, focal_mm, focal_35mm, details, sensor_width_mm(make, model)
        ),
        make=make,
        model=model,
        time=_time(base, details),
        gps=_position(_directory(lambda: image.getexif().get_ifd(ExifTags.IFD.GPSInfo))),
    )


def focal_in_pixels(
    size_px: tuple[int, int],
    focal_mm: float | None,
    focal_35mm: float | None,
    details: Mapping[int, Any],
    sensor_mm: float | None = None,
) -> float | None:
    """Focal length in pixels, from the sensor's resolution, the 35 mm equivalent, or, where the
    file has neither, the width `sensor_mm` that the camera's sensor is known to have.

    The sensor's resolution is exact where it is right; the equivalent is rounded to whole
    millimetres but seldom wrong, so it decides where the two contradict each other.
    """
    longest = max(size_px)
    equivalent = focal_35mm and focal_35mm / FULL_FRAME_DIAGONAL_MM * math.hypot(*size_px)
    exact = focal_mm and _focal_of_sensor(longest, focal_mm, details)
    if equivalent and exact and not 1 / AGREEMENT < exact / equivalent < AGREEMENT:
        exact = None
    known = focal_mm and sensor_mm and focal_mm / sensor_mm * longest
    focal = exact or equivalent or known
    low, high = FOCAL_OF_LONGEST_SIDE
    return focal if focal and low * longest <= focal <= high * longest else None


def _focal_of_sensor(longest_px: int, focal_mm: float, details: Mapping[int, Any]) -> float | None:
    resolution = _positive(details.get(ExifTags.Base.FocalPlaneXResolution))
    unit = details.get(ExifTags.Base.FocalPlaneResolutionUnit, 2)
    millimetres = MILLIMETRES_OF_UNIT.get(unit) if isinstance(unit, int) else None
    if resolution is None or millimetres is None:
        return None
    taken = [
        _positive(details.get(tag))
        for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
    ]
    # The resolution counts pixels of the picture as taken, which may have been resized since.
    longest_taken = max((side for side in taken if side), default=float(longest_px))
    sensor_mm = longest_taken / resolution * millimetres
    if not SENSOR_SIDE_MM[0] <= sensor_mm <= SENSOR_SIDE_MM[1]:
        return None
    return focal_mm / sensor_mm * longest_px


def _directory(read: Callable[[], Mapping[int, Any]]) -> dict[int, Any]:
    try:
        return dict(read())
    except DAMAGED_EXIF:
        return {}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _orientation(value: Any) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return " ".join(value.replace("\0", " ").split()) or None


def _time(base: Mapping[int, Any], details: Mapping[int, Any]) -> str | None:
    for raw, fraction, offset in (
        (
            details.get(ExifTags.Base.DateTimeOriginal),
            details.get(ExifTags.Base.SubsecTimeOriginal),
            details.get(ExifTags.Base.OffsetTimeOriginal),
        ),
        (base.get(ExifTags.Base.DateTime), None, None),
    ):
        try:
            moment = datetime.strptime(str(raw).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        digits = _text(fraction) or ""
        text = moment.isoformat() + (f".{digits}" if digits.isdecimal() else "")
        return _with_offset(text, _text(offset) or "")
    return None


def _with_offset(text: str, offset: str) -> str:
    try:
        datetime.fromisoformat(text + offset)
    except ValueError:
        return text
    return text + offset


def _position(gps: Mapping[int, Any]) -> tuple[float, float, float] | None:
    latitude = _degrees(
        gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLatitudeRef), "S"
    )
    longitude = _degrees(
        gps.get(ExifTags.GPS.GPSLongitude), gps.get(ExifTags.GPS.GPSLongitudeRef), "W"
    )
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    if latitude == 0 and longitude == 0:  # a receiver without a fix
        return None
    altitude = _number(gps.get(ExifTags.GPS.GPSAltitude)) or 0.0
    below = gps.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\x01")
    return latitude, longitude, -altitude if below else altitude


def _degrees(value: Any, reference: Any, negative: str) -> float | None:
    if not isinstance(value, tuple) or len(value) != 3:
        return None
    parts = [_number(part) for part in value]
    if parts[0] is None:
        return None
    degrees = parts[0] + (parts[1] or 0.0) / 60 + (parts[2] or 0.0) / 3600
    return -degrees if _text(reference) == negative else degrees
