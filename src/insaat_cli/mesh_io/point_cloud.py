"""An oriented, colored point cloud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """An oriented, colored point cloud in the world frame."""

    points: Map
    """(N, 3)."""
    normals: Map
    """(N, 3), unit, towards the cameras."""
    colors: npt.NDArray[np.uint8]
    """(N, 3) RGB."""
