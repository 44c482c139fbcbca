"""The pixels of undistorted photos at a smaller size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.errors import StageError


def load_rgb(path: Path, width: int, height: int) -> npt.NDArray[np.uint8]:
    """The photo (height, width, 3) in RGB, resampled from the photo at half its size.

    Raises StageError if the file cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2)
    if image is None:
        raise StageError(f"cannot read {path.name}", hint="run again with --from undistort")
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized[:, :, ::-1])
