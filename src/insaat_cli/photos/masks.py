"""Masks that users give: which photo each belongs to, and which pixels of it are used.

A mask is a picture that bears the name of its photo: IMG_1.png, IMG_1.jpg.png (as COLMAP has it),
IMG_1.mask.png or IMG_1_mask.png (as OpenMVG has it) for IMG_1.jpg. What is black in it is not used.
`with_masks` finds and checks them before a run; `resize` reads them with `upright_mask` and writes
one for each working photo (`engine/working_images.py`), which is all that later stages know.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from insaat_cli.errors import PhotosError, UsageError
from insaat_cli.formatting import counted, printable
from insaat_cli.photos.exif import DAMAGED_EXIF
from insaat_cli.photos.find_photos import natural_key
from insaat_cli.photos.photo_file import MAX_PIXELS, picture_readers
from insaat_cli.photos.photo_set import MIN_PHOTOS, LeftOut, Photo, PhotoSet

Kept = npt.NDArray[np.bool_]
"""(height, width), True where a photo is used."""

ASPECT_TOLERANCE = 0.01
"""Ratio of sides that rounding to whole pixels explains."""
LOOKED_AT_PIXELS = 50_000_000
"""Larger masks are not decoded here, outside of the memory budget."""
HIDDEN = "its mask hides all of it"
NAMES_SHOWN = 3
BLACK_BELOW = 16
"""Of 255. Black in a JPEG is not quite 0."""
TRANSPARENT_BELOW = 128
TURNS = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""For EXIF orientations that lie on their side: what turns them upright."""


def with_masks(photos: PhotoSet, folder: Path) -> PhotoSet:
    """`photos`, each with its mask in `folder`, if there is one; other files there are left out.

    So are photos of which their mask leaves nothing. Raises UsageError where `folder` is none,
    fits no photo or leaves too few, OSError where it cannot be looked into, PhotosError where a
    mask cannot be read or is not of its photo's shape.
    """
    folder = folder.absolute()
    names = _Names(photos.used)
    mask_of: dict[str, Path] = {}
    strangers: list[LeftOut] = []
    for file in _files(folder):
        relative = file.relative_to(folder).as_posix()
        photo = names.photo_of(relative)
        if photo is None:
            reason = "a mask whose name matches no photo, or more than one"
            strangers.append(LeftOut(name=relative, path=file, reason=reason))
        elif photo in mask_of:
            reason = f"a second mask for {photo}: {mask_of[photo].name} is used"
            strangers.append(LeftOut(name=relative, path=file, reason=reason))
        else:
            mask_of[photo] = file
    if not mask_of:
        raise UsageError(
            f"no mask in {printable(str(folder))} matches a photo's name",
            hint=f"the mask of {photos.used[0].name} is {Path(photos.used[0].name).stem}.png",
        )
    with picture_readers():
        masked = [_masked(photo, mask_of) for photo in photos.used]
        hidden = [photo for photo in masked if photo.mask and _hides_all(photo.mask)]
    if hidden and len(masked) - len(hidden) < MIN_PHOTOS:
        raise _too_much_hidden(hidden, len(masked))
    lost = [
        LeftOut(name=photo.name, path=photo.path, reason=HIDDEN, is_photo=True) for photo in hidden
    ]
    return replace(
        photos,
        used=tuple(photo for photo in masked if photo not in hidden),
        left_out=(*photos.left_out, *strangers, *lost),
    )


def _hides_all(path: Path) -> bool:
    """Whether a mask is black throughout. What is damaged or very large is left to `resize`."""
    try:
        with Image.open(path) as mask:
            if mask.width * mask.height > LOOKED_AT_PIXELS:
                return False
            return not kept_of(mask).any()
    except (*DAMAGED_EXIF, EOFError):
        return False


def _too_much_hidden(hidden: Sequence[Photo], photos: int) -> UsageError:
    shown = ", ".join(printable(photo.mask.name) for photo in hidden[:NAMES_SHOWN] if photo.mask)
    more = f" and {len(hidden) - NAMES_SHOWN} more" if len(hidden) > NAMES_SHOWN else ""
    return UsageError(
        f"the masks hide {len(hidden)} of {counted(photos, 'photo')} completely: "
        f"{shown}{more} are entirely black",
        hint="black pixels are ignored, white ones are used; invert the masks if they are the "
        "wrong way round",
    )


def fingerprints(photos: PhotoSet) -> tuple[tuple[str, str], ...]:
    """Names of the photos that have a mask, and the masks' SHA-256 sums."""
    return tuple((one.name, one.mask_sha256) for one in photos.used if one.mask_sha256 is not None)


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UsageError(
            f"{printable(str(folder))} is not a folder of masks",
            hint="--masks takes a folder with one mask per photo; black pixels are ignored",
        )
    found = [
        Path(parent) / name
        for parent, _, names in os.walk(folder, onerror=_raise)
        for name in names
        if not name.startswith(".")
    ]
    yield from sorted(found, key=lambda file: natural_key(str(file.relative_to(folder))))


def _raise(error: OSError) -> None:
    """A mask that is not seen would let through what it was to hide."""
    raise error


class _Names:
    """Finds the photo of a mask: by its path within the folder, else by its bare name."""

    def __init__(self, photos: tuple[Photo, ...]) -> None:
        full = [photo.name.casefold() for photo in photos]
        self._photo_of: dict[str, str] = {}
        for keys in (
            full,
            [str(PurePosixPath(name).with_suffix("")) for name in full],
            [PurePosixPath(name).name for name in full],
            [PurePosixPath(name).stem for name in full],
        ):
            times = Counter(keys)
            for key, photo in zip(keys, photos, strict=True):
                if times[key] == 1:
                    self._photo_of.setdefault(key, photo.name)

    def photo_of(self, mask: str) -> str | None:
        key = str(PurePosixPath(mask.casefold()).with_suffix(""))
        for ending in ("", ".mask", "_mask"):
            if key.endswith(ending):
                found = self._photo_of.get(key.removesuffix(ending))
                if found is not None:
                    return found
        return None


def _masked(photo: Photo, mask_of: Mapping[str, Path]) -> Photo:
    path = mask_of.get(photo.name)
    if path is None:
        return photo
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PhotosError(f"the mask {printable(str(path))} is too large")
            turned = image.getexif().get(0x0112, 1) in TURNS
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (*DAMAGED_EXIF, EOFError, MemoryError) as error:
        raise PhotosError(
            f"the mask {printable(str(path))} cannot be read: "
            f"{printable(str(getattr(error, 'strerror', None) or error))}",
            hint="remove it, or write it again as PNG",
        ) from error
    stored = photo.orientation in TURNS
    shapes = [(photo.width, photo.height)] + [(photo.height, photo.width)] * stored
    size = (height, width) if turned else (width, height)
    if not any(alike(size, shape) for shape in shapes):
        raise PhotosError(
            f"the mask {printable(path.name)} is {size[0]} x {size[1]} pixels, its photo "
            f"{printable(photo.name)} {photo.width} x {photo.height}: the aspect ratios differ",
            hint="a mask may be smaller than its photo, but not cropped or rotated",
        )
    return replace(photo, mask=path, mask_sha256=digest)


def alike(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether pictures of (width, height) `size` and `other` have the same shape."""
    ratio = size[0] * other[1] / (size[1] * other[0])
    return abs(ratio - 1.0) <= ASPECT_TOLERANCE


def transparency(photo: Image.Image) -> Kept | None:
    """True where a photo (height, width) is opaque; None where all of it is."""
    if photo.mode not in ("RGBA", "LA", "PA") and "transparency" not in photo.info:
        return None
    opaque = np.asarray(photo.convert("RGBA").getchannel("A")) >= TRANSPARENT_BELOW
    return None if opaque.all() else opaque


def upright_mask(path: Path, photo: Image.Image, orientation: int) -> Kept:
    """The mask in `path` as the upright `photo` stands, True where it is not black.

    A mask that lies as the photo's file does, unlike the upright photo, is turned as the photo's
    EXIF `orientation` says. Raises PhotosError where it cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            image.load()
            mask = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise PhotosError(f"the mask {path.name} cannot be decoded: {error}") from error
    lies = (mask.width > mask.height) != (photo.width > photo.height)
    if orientation in TURNS and lies:
        mask = mask.transpose(TURNS[orientation])
    return kept_of(mask)


def kept_of(mask: Image.Image) -> Kept:
    """True where `mask` (height, width) lets its photo be used: not black, or opaque."""
    cut_out = transparency(mask)
    if cut_out is not None:
        return cut_out
    values = np.asarray(mask if mask.mode.startswith(("I", "F")) else mask.convert("L"))
    # Some programs write 1 for white.
    return np.asarray(values >= (BLACK_BELOW if values.max() >= BLACK_BELOW else 1))


def shrunk(kept: Kept, size: tuple[int, int]) -> Image.Image:
    """`kept` as a picture of (width, height) `size`: 255 where more than half of a pixel counts."""
    shares = Image.fromarray(np.where(kept, 255, 0).astype(np.uint8)).resize(
        size, Image.Resampling.BOX
    )
    return shares.point(lambda value: 255 if value > 127 else 0)
