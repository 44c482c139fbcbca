"""An undistorted photo and its pinhole camera, and what is read from its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insaat_cli.errors import StageError


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One undistorted photo. Pixel centres lie at +0.5 (COLMAP's convention)."""

    path: Path
    width: int
    height: int
    K: NDArray[np.float64]
    """(3, 3) intrinsics in pixels."""
    cam_from_world: NDArray[np.float64]
    """(3, 4), opencv camera axes."""

    def to_camera(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """World points (N, 3) in camera space."""
        return np.asarray(points @ self.cam_from_world[:, :3].T + self.cam_from_world[:, 3])

    def project(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """World points (N, 3), all in front of the camera, as pixels (N, 2)."""
        homogeneous = self.to_camera(points) @ self.K.T
        return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:])

    def read(self) -> NDArray[np.uint8]:
        """Decode the photo: (H, W, 3), RGB."""
        pixels = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if pixels is None or pixels.shape[:2] != (self.height, self.width):
            raise StageError(
                f"{self.path.name} cannot be read, or is not {self.width} x {self.height}",
                hint="rerun with --from undistort",
            )
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)
