"""First depth of a view: semi-global matching with a few neighbours, kept where pairs agree.

Every pair is rectified with its x axis along the baseline, so neighbours may lie in any direction.
Matching is OpenCV's `StereoSGBM` (Hirschmueller 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import Floats, View

Gray = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

MAX_DISPARITIES = 256
FORWARD_MOTION_COSINE = 0.9
"""A neighbour this much in front or behind cannot be rectified with use."""
AGREE_RELATIVE = 0.015
LARGEST_STRETCH = 4.0
"""A rectified photo may be this many times larger than the photo."""


@dataclass(frozen=True, kw_only=True)
class Rectification:
    """How a pair of views maps to a common image plane with horizontal epipolar lines."""

    rectified_from_world: Floats
    """3x3 rotation."""
    K_left: Floats
    K_right: Floats
    width: int
    height: int
    disparities: int
    disparity_offset: float
    """Add to the measured disparity to get focal * baseline / depth."""
    focal_baseline: float


def rectify(left: View, right: View, near: float, far: float) -> Rectification | None:
    """The rectification of a pair whose scene lies between depths `near` and `far` of `left`.

    None where the pair cannot be rectified: no baseline, or one camera in front of the other.
    """
    baseline = right.center - left.center
    length = float(np.linalg.norm(baseline))
    if length <= 0:
        return None
    x = baseline / length
    forward = left.R[2] + right.R[2]
    forward = forward / max(float(np.linalg.norm(forward)), 1e-12)
    if abs(float(forward @ x)) > FORWARD_MOTION_COSINE:
        return None
    z = forward - x * (forward @ x)
    z /= np.linalg.norm(z)
    rotation = np.array([x, np.cross(z, x), z])
    focal = float(left.K[0, 0])
    corners = _corner_rays(left) @ left.R @ rotation.T
    if np.any(corners[:, 2] <= 0.1):
        return None
    plane = focal * corners[:, :2] / corners[:, 2:]
    scale = corners[:, 2]
    closest, farthest = near * float(scale.min()), far * float(scale.max())
    offset = np.floor(focal * length / farthest)
    count = int(np.ceil((focal * length / closest - offset) / 16)) * 16
    if count > MAX_DISPARITIES:
        count = MAX_DISPARITIES
    low, high = np.floor(plane.min(0)), np.ceil(plane.max(0))
    low[0] -= count
    width, height = (high - low).astype(int) + 1
    if width * height > LARGEST_STRETCH * left.width * left.height + count * height:
        return None
    K_left = np.array([[focal, 0, -low[0]], [0, focal, -low[1]], [0, 0, 1]])
    K_right = K_left.copy()
    K_right[0, 2] += offset
    return Rectification(
        rectified_from_world=rotation,
        K_left=K_left,
        K_right=K_right,
        width=int(width),
        height=int(height),
        disparities=count,
        disparity_offset=float(offset),
        focal_baseline=focal * length,
    )


def _corner_rays(view: View) -> Floats:
    w, h = view.width - 1, view.height - 1
    corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]], float)
    return np.asarray(corners @ np.linalg.inv(view.K).T)


def pair_depth(
    left: View, right: View, left_gray: Gray, right_gray: Gray, near: float, far: float
) -> Map | None:
    """Depth of `left` from one pair, (height, width), 0 where unknown; None without a baseline."""
    pair = rectify(left, right, near, far)
    if pair is None:
        return None
    size = (pair.width, pair.height)
    to_left = left.K @ left.R @ pair.rectified_from_world.T @ np.linalg.inv(pair.K_left)
    to_right = right.K @ right.R @ pair.rectified_from_world.T @ np.linalg.inv(pair.K_right)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    rectified_left = cv2.warpPerspective(left_gray, to_left, size, flags=flags)
    rectified_right = cv2.warpPerspective(right_gray, to_right, size, flags=flags)
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=pair.disparities,
        blockSize=5,
        P1=8 * 25,
        P2=32 * 25,
        disp12MaxDiff=1,
        preFilterCap=31,
        uniquenessRatio=5,
        speckleWindowSize=60,
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    disparity = matcher.compute(rectified_left, rectified_right)
    back = cv2.warpPerspective(
        disparity,
        to_left,
        (left.width, left.height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=-16,
    )
    return _depth_of(np.asarray(back, np.int16), left, pair)


def _depth_of(disparity: npt.NDArray[np.int16], left: View, pair: Rectification) -> Map:
    # depth in the rectified frame is focal * baseline / disparity; a ray's third component there
    # turns it into depth along the optical axis of the photo
    to_rectified = pair.rectified_from_world @ left.R.T @ np.linalg.inv(left.K)
    a, b, c = (np.float32(value) for value in to_rectified[2])
    u = np.arange(left.width, dtype=np.float32)[None]
    v = np.arange(left.height, dtype=np.float32)[:, None]
    stretch = a * u + b * v + c
    full = disparity.astype(np.float32) / np.float32(16) + np.float32(pair.disparity_offset)
    known = (disparity >= 0) & (full > 0)
    depth = np.float32(pair.focal_baseline) / (np.where(known, full, 1) * stretch)
    return np.where(known, depth, np.float32(0)).astype(np.float32)


def merge_depths(depths: Sequence[Map]) -> tuple[Map, npt.NDArray[np.uint8]]:
    """One depth a pixel from several pairs: the value that most pairs agree with, averaged.

    Returns depth (0 where unknown) and how many pairs support it.
    """
    shape = depths[0].shape
    best, votes = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    for depth in depths:
        total, count = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
        for other in depths:
            agree = (other > 0) & (np.abs(other - depth) < np.float32(AGREE_RELATIVE) * depth)
            total += np.where(agree, other, np.float32(0))
            count += agree
        better = count > votes
        best = np.where(better, total / np.maximum(count, 1), best)
        votes = np.maximum(votes, count)
    return best.astype(np.float32), votes
