"""A textured plane seen by pinhole cameras: photos, true depth and true normals."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import Scene, View

WIDTH, HEIGHT, FOCAL = 280, 210, 280.0
TEXTURE_SIDE = 1024
TEXTURE_EXTENT = 6.0
"""The texture covers this many world units."""


def camera(center: tuple[float, float, float], target: tuple[float, float, float]) -> View:
    """A camera at `center` that looks at `target`, image y roughly along world y."""
    z = np.subtract(target, center).astype(float)
    z /= np.linalg.norm(z)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    R = np.array([x, np.cross(z, x), z])
    K = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
    pose = np.concatenate([R, (-R @ np.array(center))[:, None]], 1)
    return View(name="plane.png", width=WIDTH, height=HEIGHT, K=K, cam_from_world=pose)


def texture(seed: int = 5) -> npt.NDArray[np.float32]:
    """Noise with detail at several scales, gray levels 0 to 255."""
    rng = np.random.default_rng(seed)
    total = np.zeros((TEXTURE_SIDE, TEXTURE_SIDE), np.float32)
    for sigma in (6.0, 12.0, 24.0):
        noise = rng.normal(size=total.shape).astype(np.float32)
        blurred = cv2.GaussianBlur(noise, (0, 0), sigma)
        total += blurred / blurred.std()
    return np.clip(128 + 30 * total, 0, 255).astype(np.float32)


def true_depth(view: View, normal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Depth of the plane through the origin with this normal, (height, width)."""
    v, u = np.mgrid[: view.height, : view.width]
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(view.K).T
    return np.asarray(-(normal @ view.center) / (rays @ (view.R @ normal)))


def photo(
    view: View, normal: npt.NDArray[np.float64], image: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """What `view` sees of the textured plane through the origin."""
    v, u = np.mgrid[: view.height, : view.width]
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(view.K).T
    points = (rays * true_depth(view, normal)[..., None] - view.t) @ view.R
    first = np.cross(normal, [0.0, 1.0, 0.0])
    first /= np.linalg.norm(first)
    scale = TEXTURE_SIDE / TEXTURE_EXTENT
    x = (points @ first * scale + TEXTURE_SIDE / 2).astype(np.float32)
    y = (points @ np.cross(first, normal) * scale + TEXTURE_SIDE / 2).astype(np.float32)
    return np.rint(cv2.remap(image, x, y, cv2.INTER_LINEAR)).astype(np.uint8)


def plane_scene(normal: npt.NDArray[np.float64]) -> tuple[Scene, list[npt.NDArray[np.uint8]]]:
    """Four cameras around a plane through the origin, with sparse points and photos."""
    centers = [(-0.4, 0.0, -3.0), (0.3, 0.05, -3.0), (0.0, -0.6, -2.9), (0.1, 0.6, -3.0)]
    views = [camera(center, (0.0, 0.0, 0.0)) for center in centers]
    rng = np.random.default_rng(3)
    first = np.cross(normal, [0.0, 1.0, 0.0])
    second = np.cross(normal, first)
    points = rng.uniform(-0.7, 0.7, (60, 1)) * first + rng.uniform(-0.7, 0.7, (60, 1)) * second
    scene = Scene(views=views, points=points, seen=[np.arange(60)] * len(views))
    image = texture()
    return scene, [photo(view, normal, image) for view in views]


SLANTED = np.array([0.5, 0.2, -1.0]) / np.linalg.norm([0.5, 0.2, -1.0])
"""A plane that turns about 28 degrees away from the cameras."""
