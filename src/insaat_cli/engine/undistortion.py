"""Pinhole cameras for distorted ones, and the maps between their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pycolmap

Array = npt.NDArray[np.float64]
ROWS_A_BLOCK = 256
MAP_GRID_PX = 8


@dataclass(frozen=True, kw_only=True)
class PinholeView:
    """A pinhole camera without borders, and where each of its pixels lies in the photo.

    `map_x`, `map_y` [height, width] float32 are for cv2.remap (the first pixel's centre is 0).
    """

    camera: pycolmap.Camera
    map_x: npt.NDArray[np.float32]
    map_y: npt.NDArray[np.float32]

    @property
    def width(self) -> int:
        return int(self.camera.width)

    @property
    def height(self) -> int:
        return int(self.camera.height)


def pinhole_view(camera: pycolmap.Camera, multiple_of: int = 1) -> PinholeView:
    """The largest pinhole camera of one focal length that sees only what `camera` saw.

    Its sides are multiples of `multiple_of` pixels, cut off evenly on both sides.
    """
    options = pycolmap.UndistortCameraOptions()
    options.blank_pixels = 0.0
    fitted = pycolmap.undistort_camera(options, camera)
    focal = float(np.sqrt(fitted.focal_length_x * fitted.focal_length_y))
    cut = (fitted.width % multiple_of, fitted.height % multiple_of)
    pinhole = pycolmap.Camera(
        camera_id=camera.camera_id,
        model="PINHOLE",
        width=fitted.width - cut[0],
        height=fitted.height - cut[1],
        params=[
            focal,
            focal,
            fitted.principal_point_x - cut[0] / 2,
            fitted.principal_point_y - cut[1] / 2,
        ],
    )
    map_x, map_y = _pixel_maps(camera, pinhole)
    return PinholeView(camera=pinhole, map_x=map_x, map_y=map_y)


def undistorted_model(
    model: pycolmap.Reconstruction, views: dict[int, PinholeView]
) -> pycolmap.Reconstruction:
    """A copy of `model` with pinhole cameras and undistorted observations; registered only.

    Observations that fall outside the pinhole picture keep their place outside of it.
    """
    pinhole = pycolmap.Reconstruction()
    for view in views.values():
        pinhole.add_camera_with_trivial_rig(view.camera)
    for image_id in sorted(model.reg_image_ids()):
        old = model.image(image_id)
        camera, view = model.camera(old.camera_id), views[old.camera_id]
        pixels = np.array([point.xy for point in old.points2D]).reshape(-1, 2)
        image = pycolmap.Image(
            name=old.name,
            keypoints=undistort_pixels(pixels, camera, view.camera),
            camera_id=old.camera_id,
            image_id=image_id,
        )
        pinhole.add_image_with_trivial_frame(image, old.cam_from_world())
    for point_id, point in model.points3D.items():
        pinhole.add_point3D_with_id(
            point_id, pycolmap.Point3D(xyz=point.xyz, color=point.color, track=point.track)
        )
    pinhole.update_point_3d_errors()
    return pinhole


def undistort_pixels(pixels: Array, camera: pycolmap.Camera, pinhole: pycolmap.Camera) -> Array:
    """Where pixels [n, 2] of `camera` lie in `pinhole`; NaN becomes the picture's corner."""
    if len(pixels) == 0:
        return pixels
    rays = np.asarray(camera.cam_from_img(pixels), float).reshape(-1, 2)
    fx, fy, cx, cy = pinhole.params
    return np.asarray(np.nan_to_num(rays * [fx, fy] + [cx, cy]))


def _pixel_maps(
    camera: pycolmap.Camera, pinhole: pycolmap.Camera
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    fx, fy, cx, cy = pinhole.params
    height, width = int(pinhole.height), int(pinhole.width)
    map_x = np.empty((height, width), np.float32)
    map_y = np.empty((height, width), np.float32)
    x = (np.arange(width) + 0.5 - cx) / fx
    for start in range(0, height, ROWS_A_BLOCK):
        y = (np.arange(start, min(start + ROWS_A_BLOCK, height)) + 0.5 - cy) / fy
        rays = np.stack([*np.broadcast_arrays(x[None], y[:, None]), np.ones((len(y), width))], -1)
        pixels = np.asarray(camera.img_from_cam(rays.reshape(-1, 3))).reshape(len(y), width, 2)
        map_x[start : start + len(y)] = pixels[..., 0] - 0.5
        map_y[start : start + len(y)] = pixels[..., 1] - 0.5
    return map_x, map_y
