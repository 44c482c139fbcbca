"""COLMAP's cameras: from rays to pixels and back.

The models and the order of their parameters are COLMAP's (src/colmap/sensor/models.h).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
PARAMETERS = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
}
"""By model, in the order of COLMAP's numbers for them."""
NUMBERS = {name: number for number, name in enumerate(PARAMETERS)}
RADIAL_POWERS: dict[str, tuple[int, ...]] = {
    "SIMPLE_PINHOLE": (), "SIMPLE_RADIAL": (2,), "RADIAL": (2, 4),
}  # fmt: skip
"""Powers of the distance from the axis that the distortion of models with one focal length has."""
BEHIND = 1e-12
NEWTON_STEPS = 50
NEWTON_TOLERANCE = 1e-12
DIFFERENCE = 1e-7


@dataclass(frozen=True, kw_only=True)
class Camera:
    """The intrinsics that one or more photos share."""

    camera_id: int
    model: str
    """A key of PARAMETERS."""
    width: int
    height: int
    params: tuple[float, ...]

    @property
    def focal_px(self) -> tuple[float, float]:
        """Along x and y."""
        return self.params[0], self.params[_center(self) - 1]

    def with_focal(self, focal_px: float) -> Camera:
        """The camera, one of RADIAL_POWERS, that shows at each pixel a ray as much nearer to the
        axis as its focal length is longer."""
        longer = focal_px / self.params[0]
        terms = zip(self.params[3:], RADIAL_POWERS[self.model], strict=True)
        distortion = (value * longer**power for value, power in terms)
        return replace(self, params=(focal_px, *self.params[1:3], *distortion))

    @property
    def principal_point(self) -> tuple[float, float]:
        """In pixels from the corner of the first one."""
        at = _center(self)
        return self.params[at], self.params[at + 1]

    @property
    def distortion(self) -> dict[str, float]:
        """The other parameters, by COLMAP's names."""
        at = _center(self) + 2
        return dict(zip(PARAMETERS[self.model][at:], self.params[at:], strict=True))

    def calibration_matrix(self) -> Floats:
        """[3, 3]"""
        (fx, fy), (cx, cy) = self.focal_px, self.principal_point
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def project(camera: Camera, rays: Floats) -> Floats:
    """Pixels [n, 2] of `rays` [n, 3] in the camera's frame; NaN for what lies behind it."""
    depth = np.where(rays[:, 2] > BEHIND, rays[:, 2], np.nan)
    plane = _distort(camera, rays[:, :2] / depth[:, None])
    return np.asarray(plane * camera.focal_px + camera.principal_point)


def unproject(camera: Camera, pixels: Floats) -> Floats:
    """Places [n, 2] on the plane z = 1 that `pixels` [n, 2] show; NaN where there is none."""
    target = (pixels - camera.principal_point) / camera.focal_px
    if not camera.distortion:
        return np.asarray(target)
    # Newton's method with differences; a step is held back where the lens turns around.
    plane = target.copy()
    step_x, step_y = np.array([DIFFERENCE, 0.0]), np.array([0.0, DIFFERENCE])
    for _ in range(NEWTON_STEPS):
        off = _distort(camera, plane) - target
        if np.nanmax(np.abs(off), initial=0.0) < NEWTON_TOLERANCE:
            break
        along_x = (_distort(camera, plane + step_x) - target - off) / DIFFERENCE
        along_y = (_distort(camera, plane + step_y) - target - off) / DIFFERENCE
        plane = plane - _solved(along_x, along_y, off)
    off = np.abs(_distort(camera, plane) - target).max(axis=1)
    return np.where((off < 1e-6)[:, None], plane, np.nan)


def _solved(along_x: Floats, along_y: Floats, off: Floats) -> Floats:
    """Solutions [n, 2] of n systems of two equations by Cramer's rule."""
    determinant = along_x[:, 0] * along_y[:, 1] - along_y[:, 0] * along_x[:, 1]
    determinant = np.where(np.abs(determinant) < 1e-12, np.nan, determinant)
    x = (off[:, 0] * along_y[:, 1] - along_y[:, 0] * off[:, 1]) / determinant
    y = (along_x[:, 0] * off[:, 1] - off[:, 0] * along_x[:, 1]) / determinant
    return np.stack([x, y], axis=1)


def _distort(camera: Camera, plane: Floats) -> Floats:
    k = camera.distortion
    if not k:
        return plane
    if camera.model == "OPENCV_FISHEYE":
        return _fisheye(plane, tuple(k.values()))
    square = np.sum(plane**2, axis=1, keepdims=True)
    first = k.get("k", k.get("k1", 0.0))
    factor = 1 + square * (first + square * (k.get("k2", 0.0) + square * k.get("k3", 0.0)))
    if "k4" in k:
        factor = factor / (1 + square * (k["k4"] + square * (k["k5"] + square * k["k6"])))
    bent = plane * factor
    p1, p2 = k.get("p1", 0.0), k.get("p2", 0.0)
    if p1 or p2:
        both = plane[:, :1] * plane[:, 1:]
        shift = 2 * both * [p1, p2] + (square + 2 * plane**2) * [p2, p1]
        bent = bent + shift
    return np.asarray(bent)


def _fisheye(plane: Floats, k: tuple[float, ...]) -> Floats:
    radius = np.linalg.norm(plane, axis=1, keepdims=True)
    angle = np.arctan(radius)
    square = angle**2
    bent = angle * (1 + square * (k[0] + square * (k[1] + square * (k[2] + square * k[3]))))
    return np.asarray(plane * np.where(radius > 1e-8, bent / np.maximum(radius, 1e-8), 1.0))


def _center(camera: Camera) -> int:
    return PARAMETERS[camera.model].index("cx")
