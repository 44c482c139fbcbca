"""Pixels at the outline of a mesh in a photo that show what lies behind it.

Stereo makes a surface some pixels too wide at its outline. Before an even background, such as the
sky, the fringe has the same color in every photo, so it is not the photos that disagree: the
fringe is like what lies beyond the outline and unlike what lies within.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

REACH_PX = 6
"""A fringe is at most so wide."""
MIN_CONTRAST = 40.0
"""Where subject and background differ by less (8-bit levels, Euclidean in RGB), nothing is said."""
LIKE_BACKGROUND = 0.25
"""Share of the contrast that a pixel of the background may differ from its surroundings."""


def background_pixels(
    rgb: npt.NDArray[np.uint8],
    mesh: npt.NDArray[np.bool_],
    behind: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.bool_]:
    """Which pixels (H, W) of a photo (H, W, 3) that see the mesh show what lies behind it.

    Only what is `behind` (H, W) is background; None: all that lies beyond the outline is. A wall
    that goes on where it could not be measured looks like its own fringe, and is no background.
    """
    color = rgb.astype(np.float32)
    size = 2 * REACH_PX + 1
    inner = cv2.erode(mesh.astype(np.uint8), np.ones((size, size), np.uint8), borderValue=1).astype(
        bool
    )
    outside = _outside(mesh)
    beyond, beyond_weight = _mean(color, outside if behind is None else outside & behind, size)
    within, within_weight = _mean(color, inner, 2 * size + 1)
    contrast = np.linalg.norm(beyond - within, axis=2)
    difference = np.linalg.norm(color - beyond, axis=2)
    known = mesh & (beyond_weight > 0) & (within_weight > 0) & (contrast > MIN_CONTRAST)
    return np.asarray(known & (difference < LIKE_BACKGROUND * contrast))


def _outside(mesh: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What reaches the photo's border without crossing the mesh; a hole in the mesh does not."""
    field = np.pad(mesh.astype(np.uint8), 1)
    cv2.floodFill(field, None, (0, 0), 2)
    return np.asarray(field[1:-1, 1:-1] == 2)


def _mean(
    color: npt.NDArray[np.float32], where: npt.NDArray[np.bool_], size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean color of the pixels `where` in a window of side `size`, and their share of it."""
    weight = where.astype(np.float32)
    share = np.asarray(cv2.blur(weight, (size, size)), np.float32)
    total = cv2.blur(color * weight[..., None], (size, size))
    return np.asarray(total / np.maximum(share, 1e-6)[..., None], np.float32), share
