"""Pinhole cameras for distorted ones, and the maps between their pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap.camera import Camera, project, unproject
from insaat_cli.engine.colmap.model import Model

Array = npt.NDArray[np.float64]
ROWS_A_BLOCK = 256
LARGEST_SCALE, SMALLEST_SCALE = 2.0, 0.2
"""Of a pinhole camera's picture, relative to the photo."""


@dataclass(frozen=True, kw_only=True)
class PinholeView:
    """A pinhole camera without borders, and where each of its pixels lies in the photo.

    `map_x`, `map_y` [height, width] float32 are for cv2.remap (the first pixel's centre is 0).
    """

    camera: Camera
    map_x: npt.NDArray[np.float32]
    map_y: npt.NDArray[np.float32]

    @property
    def width(self) -> int:
        return self.camera.width

    @property
    def height(self) -> int:
        return self.camera.height


def pinhole_view(camera: Camera, multiple_of: int = 1) -> PinholeView:
    """The largest pinhole camera of one focal length that sees only what `camera` saw.

    Its sides are multiples of `multiple_of` pixels, cut off evenly on both sides; a side below that
    stays as it is.
    """
    width, height = (
        max(1, int(s * side)) for s, side in zip(_scales(camera), _size(camera), strict=True)
    )
    cut_x, cut_y = (side % multiple_of if side > multiple_of else 0 for side in (width, height))
    focal = float(np.sqrt(camera.focal_px[0] * camera.focal_px[1]))
    x, y = camera.principal_point
    x, y = x * width / camera.width, y * height / camera.height
    pinhole = Camera(
        camera_id=camera.camera_id,
        model="PINHOLE",
        width=width - cut_x,
        height=height - cut_y,
        params=(focal, focal, x - cut_x / 2, y - cut_y / 2),
    )
    map_x, map_y = _pixel_maps(camera, pinhole)
    return PinholeView(camera=pinhole, map_x=map_x, map_y=map_y)


def undistorted_model(model: Model, views: Mapping[int, PinholeView]) -> Model:
    """A copy of `model` with pinhole cameras and undistorted observations.

    Observations that fall outside the pinhole picture keep their place outside of it.
    """
    images = {}
    for key, old in model.images.items():
        camera, view = model.cameras[old.camera_id], views[old.camera_id]
        images[key] = replace(old, pixels=undistort_pixels(old.pixels, camera, view.camera))
    cameras = {key: view.camera for key, view in views.items()}
    return replace(model, cameras=cameras, images=images).with_errors()


def undistort_pixels(pixels: Array, camera: Camera, pinhole: Camera) -> Array:
    """Where pixels [n, 2] of `camera` lie in `pinhole`; NaN becomes the picture's corner."""
    if len(pixels) == 0:
        return pixels
    return np.nan_to_num(unproject(camera, pixels) * pinhole.focal_px + pinhole.principal_point)


def _scales(camera: Camera) -> tuple[float, float]:
    """How much wider and higher a picture may be that `camera` fills without blank pixels.

    As COLMAP's UndistortCamera does it, src/colmap/image/undistortion.cc.
    """
    if not camera.distortion:
        return 1.0, 1.0
    (width, height), center = _size(camera), camera.principal_point
    columns = np.arange(width, dtype=np.float64) + 0.5
    rows = np.arange(height, dtype=np.float64) + 0.5
    left = _straight(camera, np.full(height, 0.5), rows)[:, 0]
    right = _straight(camera, np.full(height, width - 0.5), rows)[:, 0]
    top = _straight(camera, columns, np.full(width, 0.5))[:, 1]
    bottom = _straight(camera, columns, np.full(width, height - 0.5))[:, 1]
    found = []
    for low, high, middle, side in (
        (left, right, center[0], width),
        (top, bottom, center[1], height),
    ):
        before = middle / (middle - np.nanmax(low))
        after = (side - 0.5 - middle) / (np.nanmin(high) - middle)
        found.append(float(np.clip(1 / max(before, after), SMALLEST_SCALE, LARGEST_SCALE)))
    return found[0], found[1]


def _straight(camera: Camera, x: Array, y: Array) -> Array:
    rays = unproject(camera, np.stack([x, y], axis=1))
    return np.asarray(rays * camera.focal_px + camera.principal_point)


def _size(camera: Camera) -> tuple[int, int]:
    return camera.width, camera.height


def _pixel_maps(
    camera: Camera, pinhole: Camera
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    (fx, fy), (cx, cy) = pinhole.focal_px, pinhole.principal_point
    height, width = pinhole.height, pinhole.width
    map_x = np.empty((height, width), np.float32)
    map_y = np.empty((height, width), np.float32)
    x = (np.arange(width) + 0.5 - cx) / fx
    for start in range(0, height, ROWS_A_BLOCK):
        y = (np.arange(start, min(start + ROWS_A_BLOCK, height)) + 0.5 - cy) / fy
        rays = np.stack([*np.broadcast_arrays(x[None], y[:, None]), np.ones((len(y), width))], -1)
        pixels = project(camera, rays.reshape(-1, 3)).reshape(len(y), width, 2)
        map_x[start : start + len(y)] = pixels[..., 0] - 0.5
        map_y[start : start + len(y)] = pixels[..., 1] - 0.5
    return map_x, map_y
