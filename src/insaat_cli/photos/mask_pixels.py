"""What `resize` does with masks: read, turn and shrink them with their photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from insaat_cli.errors import PhotosError

Kept = npt.NDArray[np.bool_]

BLACK_BELOW = 16
"""Of 255. Black in a JPEG is not quite 0."""
TRANSPARENT_BELOW = 128
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What stands a picture of an EXIF orientation upright."""


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
    if orientation >= 5 and lies:
        mask = mask.transpose(TRANSPOSITIONS[orientation])
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
