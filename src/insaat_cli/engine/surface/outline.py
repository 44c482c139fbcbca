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
    wide = 2 * size + 1
    inner = cv2.erode(mesh.astype(np.uint8), np.ones((size, size), np.uint8), borderValue=1).astype(
        bool
    )
    beyond_mesh = _outside(mesh) if behind is None else _outside(mesh) & behind
    outside = beyond_mesh.astype(np.float32)
    share_beyond = np.asarray(cv2.blur(outside, (size, size)))
    share_within = np.asarray(cv2.blur(inner.astype(np.float32), (wide, wide)))
    near = np.nonzero(mesh & (share_beyond > 0) & (share_within > 0))  # few: only they are asked
    beyond = _sum(color, outside, size)[near] / np.maximum(share_beyond[near], 1e-6)[:, None]
    within = (
        _sum(color, inner.astype(np.float32), wide)[near]
        / np.maximum(share_within[near], 1e-6)[:, None]
    )
    contrast = np.linalg.norm(beyond - within, axis=1)
    difference = np.linalg.norm(color[near] - beyond, axis=1)
    result = np.zeros(mesh.shape, bool)
    result[near] = (contrast > MIN_CONTRAST) & (difference < LIKE_BACKGROUND * contrast)
    return result


def _outside(mesh: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What reaches the photo's border without crossing the mesh; a hole in the mesh does not."""
    field = np.pad(mesh.astype(np.uint8), 1)
    cv2.floodFill(field, None, (0, 0), 2)
    return np.asarray(field[1:-1, 1:-1] == 2)


def _sum(
    color: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], size: int
) -> npt.NDArray[np.float32]:
    """Color of the pixels with a weight in a window of side `size`, over all its pixels."""
    return np.asarray(cv2.blur(color * weight[..., None], (size, size)), np.float32)
