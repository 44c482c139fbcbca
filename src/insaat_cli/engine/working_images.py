"""Working photos as the stages read them: RGB at a smaller size, and which pixels count.

The mask of `images/NAME.jpg` is `masks/NAME.png` beside the folder `images`, of the same size, 255
where the photo counts and 0 where not. A photo without such a file counts as a whole. `resize`
writes them, from what users give (`photos/masks.py`).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.errors import StageError

FOLDER = "masks"
Kept = npt.NDArray[np.bool_]


def mask_path(picture: Path) -> Path:
    """Where the mask of a working photo is, or would be."""
    return picture.parent.parent / FOLDER / f"{picture.stem}.png"


def read_mask(picture: Path, width: int, height: int) -> Kept | None:
    """True where the photo counts (height, width); None where it counts as a whole.

    A pixel of a smaller picture counts if all that it covers does. Raises StageError if the file
    cannot be read.
    """
    path = mask_path(picture)
    if not path.is_file():
        return None
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise StageError(f"the mask {path.name} cannot be read", hint="rerun with --from resize")
    if mask.shape != (height, width):
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(mask > 254)


def write_mask(picture: Path, kept: Kept) -> None:
    """Write the mask of a working photo. Raises StageError where that fails."""
    path = mask_path(picture)
    path.parent.mkdir(exist_ok=True)
    if not cv2.imwrite(str(path), np.where(kept, 255, 0).astype(np.uint8)):
        raise StageError(f"{path.name} cannot be written", hint="is the disk full?")


def load_rgb(path: Path, width: int, height: int) -> npt.NDArray[np.uint8]:
    """The photo (height, width, 3) in RGB, resampled from the photo at half its size.

    Raises StageError if the file cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2)
    if image is None:
        raise StageError(f"cannot read {path.name}", hint="rerun with --from undistort")
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized[:, :, ::-1])
