"""One file: is it a photo that can be used, and if not, why not.

Headers are read and the end of the file is looked at; a picture is decoded only where its end
looks cut off and only a decoder can tell.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pillow_heif
from PIL import Image, UnidentifiedImageError

from insaat_cli.photos.exif import DAMAGED_EXIF, ExifFacts, read_exif

MAX_PIXELS = 300_000_000
"""Larger than any camera's picture; as RGB it already fills 0.9 GB."""
MIN_LONGEST_SIDE_PX = 320
HASH_BLOCK_BYTES = 1 << 20
TAIL_BYTES = 4096
JPEG_END = b"\xff\xd9"
JPEG_SCAN = 0xDA
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PANORAMA_SIDES = 2.0
"""Width over height of a picture of everything around."""
EQUIRECTANGULAR = re.compile(rb"ProjectionType[^a-z]{1,8}equirectangular", re.IGNORECASE)
"""As Google's GPano schema for XMP has it, as an attribute and as an element."""
REDUCED_PAGE = 0.5
"""Pages of a TIFF with less than this share of the first one's pixels are its thumbnails."""

JPEG_FORMATS = ("JPEG", "MPO")
PHOTO_FORMATS = (*JPEG_FORMATS, "PNG", "TIFF", "WEBP", "HEIF")
OTHER_FORMATS = ("GIF", "BMP", "ICO", "PPM", "TGA", "PSD", "JPEG2000", "DDS", "AVIF")
# fmt: off
RAW_ENDINGS = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq",
    ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw",
    ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})
# fmt: on
VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mts"})
ARCHIVE_ENDINGS = frozenset({".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".7z", ".rar"})


class UnusableError(Exception):
    """The file is not a photo that can be used; the text is the reason, for people."""


@dataclass(frozen=True, kw_only=True)
class PhotoHeader:
    """What is known of a photo without decoding it."""

    width: int
    height: int
    """Upright, in pixels: after the EXIF orientation is applied."""
    exif: ExifFacts
    sha256: str


@contextmanager
def picture_readers() -> Iterator[None]:
    """Pillow reads HEIC, and leaves the pixel limit to us while headers are read.

    Its own limit is lower than that of large-format cameras, and raises before the size is known.
    """
    Image.init()
    pillow_heif.register_heif_opener()
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def is_named_like_a_photo(path: Path) -> bool:
    """By the ending of its name: one that is read, or a camera's own. Call in `picture_readers`."""
    ending = path.suffix.lower()
    kind = Image.registered_extensions().get(ending)
    return kind in PHOTO_FORMATS or ending in RAW_ENDINGS


def is_video(path: Path) -> bool:
    """Whether its name is that of a video."""
    return path.suffix.lower() in VIDEO_ENDINGS


def examine(path: Path, *, max_pixels: int = MAX_PIXELS) -> PhotoHeader:
    """The header of a usable photo. Call within `picture_readers`.

    Raises UnusableError with the reason if the file is not one.
    """
    try:
        return _examine(path, max_pixels)
    except OSError as error:
        raise UnusableError(_refusal(error)) from error


def _examine(path: Path, max_pixels: int) -> PhotoHeader:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError("not a regular file")
    if status.st_size == 0:
        raise UnusableError("empty file")
    if path.suffix.lower() in RAW_ENDINGS:
        raise UnusableError("RAW files are not supported: export it as JPEG or TIFF")
    if is_video(path):
        raise UnusableError("a video: extract its frames with insaat frames")
    if path.suffix.lower() in ARCHIVE_ENDINGS:
        raise UnusableError("an archive: unpack it first")
    with path.open("rb") as stream:
        header = _read_header(stream, path.suffix, status.st_size, max_pixels)
        stream.seek(0)
        digest = hashlib.sha256()
        while block := stream.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return PhotoHeader(
        width=header[0][0], height=header[0][1], exif=header[1], sha256=digest.hexdigest()
    )


def _read_header(
    stream: BinaryIO, ending: str, size_bytes: int, max_pixels: int
) -> tuple[tuple[int, int], ExifFacts]:
    try:
        image = Image.open(stream, formats=_known((*PHOTO_FORMATS, *OTHER_FORMATS)))
    except UnidentifiedImageError:
        named_so = ending.lower() in Image.registered_extensions()
        damaged = ", or its beginning is damaged" if named_so else ""
        raise UnusableError(f"not an image{damaged}") from None
    except (*DAMAGED_EXIF, EOFError, MemoryError):
        raise UnusableError("damaged or truncated: it cannot be opened") from None
    with image:
        kind = image.format or "?"
        if kind not in PHOTO_FORMATS:
            raise UnusableError(f"a {kind} picture is not supported: convert it to JPEG or PNG")
        _check_size(image.size, max_pixels)
        _check_single(image)
        _check_perspective(image)
        facts = read_exif(image)
        width, height = image.size
        if not _is_whole(image, stream, size_bytes):
            raise UnusableError("truncated: the end of the file is missing")
        turned = facts.orientation >= 5 and kind != "TIFF"  # Pillow turns TIFFs itself
    if turned:
        width, height = height, width
    return (width, height), facts


def _known(formats: tuple[str, ...]) -> list[str]:
    return [name for name in formats if name in Image.OPEN]


def _check_size(size_px: tuple[int, int], max_pixels: int) -> None:
    width, height = size_px
    if width * height > max_pixels:
        raise UnusableError(
            f"{width} x {height} pixels are above the limit of {max_pixels / 1e6:.0f} megapixels"
        )
    if max(width, height) < MIN_LONGEST_SIDE_PX:
        raise UnusableError(
            f"too small: {width} x {height} pixels "
            f"(the longer side must have at least {MIN_LONGEST_SIDE_PX})"
        )


def _check_single(image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    # Phones store a depth map or a second exposure beside the photo (MPO, HEIC): still a photo.
    if frames < 2 or image.format in ("MPO", "HEIF"):
        return
    if image.format != "TIFF":
        raise UnusableError(f"animated: {frames} frames")
    first = image.size[0] * image.size[1]
    for page in range(1, frames):
        image.seek(page)
        if image.size[0] * image.size[1] > REDUCED_PAGE * first:
            raise UnusableError(f"contains {frames} pictures: save each as a separate file")
    image.seek(0)


def _check_perspective(image: Image.Image) -> None:
    """A picture of everything around follows no lens: no camera model would fit it."""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    text = xmp.encode(errors="replace") if isinstance(xmp, str) else bytes(xmp)
    wide = abs(image.width / image.height - PANORAMA_SIDES) < 0.02
    if wide and EQUIRECTANGULAR.search(text):
        raise UnusableError(
            "a 360-degree panorama: export ordinary views of it (90 degrees wide, no further "
            "apart than 45) and use those"
        )


def _is_whole(image: Image.Image, stream: BinaryIO, size_bytes: int) -> bool:
    """Whether the file reaches as far as its own structure says."""
    if image.format in JPEG_FORMATS:
        if _tail(stream, size_bytes).rstrip(b"\0").endswith(JPEG_END) or _scan_ends(stream):
            return True
        # A progressive one is held as a whole while it is decoded, whatever size is asked for.
        return False if "progressive" in image.info else _decodes(image)
    if image.format == "PNG":
        return _chunks_end(stream, size_bytes)
    if image.format == "WEBP":
        stream.seek(4)
        return int.from_bytes(stream.read(4), "little") + 8 <= size_bytes
    if image.format == "HEIF":
        return _boxes_end(stream, size_bytes)
    return _strips_end(image) <= size_bytes


def _tail(stream: BinaryIO, size_bytes: int) -> bytes:
    stream.seek(max(0, size_bytes - TAIL_BYTES))
    return stream.read(TAIL_BYTES)


def _decodes(image: Image.Image) -> bool:
    """Decode at an eighth of the size where the format can; data after the end is no fault."""
    image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
    try:
        image.load()
    except (*DAMAGED_EXIF, EOFError):
        return False
    return True


def _chunks_end(stream: BinaryIO, size_bytes: int) -> bool:
    """Walk the chunks of a PNG (ISO 15948) to its IEND: decoding 48 megapixels to find out takes
    a fifth of a gigabyte for each reader."""
    position = len(PNG_SIGNATURE)
    while position + 12 <= size_bytes:
        stream.seek(position)
        length, kind = struct.unpack(">I4s", stream.read(8))
        position += 12 + length
        if kind == b"IEND":
            return bool(position <= size_bytes)
    return False


def _scan_ends(stream: BinaryIO) -> bool:
    """Whether the end marker of a JPEG (ITU-T T.81) comes after its first scan, with whatever
    behind it. Inside a scan the marker cannot occur; before it, in a thumbnail, it does."""
    position = 2
    while True:
        stream.seek(position)
        header = stream.read(4)
        if len(header) < 4 or header[0] != 0xFF:
            return False
        position += 2 + int.from_bytes(header[2:], "big")
        if header[1] == JPEG_SCAN:
            break
    stream.seek(position)
    last = b""
    while block := stream.read(HASH_BLOCK_BYTES):
        if JPEG_END in last + block:
            return True
        last = block[-1:]
    return False


def _boxes_end(stream: BinaryIO, size_bytes: int) -> bool:
    """Walk the top-level boxes of an ISO media file (ISO 14496-12): the last one must be whole."""
    position = 0
    while position + 8 <= size_bytes:
        stream.seek(position)
        length, _kind = struct.unpack(">I4s", stream.read(8))
        if length == 1:
            large = stream.read(8)
            length = struct.unpack(">Q", large)[0] if len(large) == 8 else size_bytes + 1
        if length == 0:  # reaches to the end of the file, wherever that is
            return True
        if length < 8:  # not a box: what some programs append
            return position > 0
        position += length
    return position <= size_bytes


def _strips_end(image: Image.Image) -> int:
    tags = getattr(image, "tag_v2", {})
    end = 0
    for offsets_tag, counts_tag in ((273, 279), (324, 325)):
        offsets, counts = tags.get(offsets_tag) or (), tags.get(counts_tag) or ()
        if isinstance(counts, int):
            counts = (counts,)
        for offset, count in zip(offsets, counts, strict=False):
            end = max(end, int(offset) + int(count))
    return end


def _refusal(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "broken link"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return f"cannot be read: {os.strerror(error.errno) if error.errno else error}"
