"""Smaller copies of photos for slow lines. The same photo always gives the same bytes."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags, Image

from insaat_cli.errors import UsageError
from insaat_cli.photos.photo_file import picture_readers
from insaat_cli.photos.photo_set import Photo

QUALITY = 92
SMALLEST_SIDE = 300


def resized_copy(photo: Photo, max_side: int, target: Path) -> Path:
    """A JPEG with the longest side at most `max_side` px and the EXIF data of the original.

    Returns the photo's own path if it is small enough already. Orientation and focal length stay
    as EXIF says them; only the sensor's resolution, in pixels per length, depends on the size."""
    if max_side < SMALLEST_SIDE:
        raise UsageError(f"--resize {max_side} is too small", hint=f"at least {SMALLEST_SIDE}")
    if max(photo.width, photo.height) <= max_side:
        return photo.path
    with picture_readers(), Image.open(photo.path) as image:
        before = image.width
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        exif = _scaled_exif(image, image.width / before)
        image.convert("RGB").save(target, "JPEG", quality=QUALITY, exif=exif, subsampling=0)
    return target


def _scaled_exif(image: Image.Image, factor: float) -> Image.Exif:
    """The EXIF data of `image`, whose pixels now stand 1 / `factor` times as far apart."""
    exif = image.getexif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    for tag in (ExifTags.Base.FocalPlaneXResolution, ExifTags.Base.FocalPlaneYResolution):
        if tag in details:
            details[tag] = float(details[tag]) * factor
    for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight):
        details.pop(tag, None)
    return exif
