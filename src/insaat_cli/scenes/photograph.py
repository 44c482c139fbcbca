"""One photograph of a scene: what the lens sees, bent, noisy and exposed like a real one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.scenes.lighting import GroundLight
from insaat_cli.scenes.rig import CameraTruth, Lens
from insaat_cli.scenes.shading import shade
from insaat_cli.scenes.subjects import Mesh

MARGIN = 0.04
"""How much wider than the photo the pinhole image is rendered, so that the lens can bend it."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that does not change from photo to photo."""

    mesh: Mesh
    light: NDArray[np.float32]
    """(n,) brightness of the mesh's vertices."""
    ground: GroundLight
    contrast: float
    """Strength of the texture; 1 is usual, 0.1 is nearly blank."""
    seed: int

    def colors(
        self,
        depth: NDArray[np.float32],
        face: NDArray[np.int32],
        weights: NDArray[np.float32],
        rays: NDArray[np.float64],
        centre: NDArray[np.float64],
        focal: float,
    ) -> NDArray[np.float32]:
        """Colors (H/2, W/2, 3), 0 to 1, of a raster of twice the size (see `shade`)."""
        image: NDArray[np.float32] = shade(
            depth, face, weights, self.mesh.faces, self.mesh.paint, self.light, rays, centre,
            focal, self.ground.values, self.ground.half_width, self.contrast, self.seed,
        )  # fmt: skip
        return image


class Painted(Protocol):
    """A scene as the camera takes it: triangles and how what is seen of them is colored."""

    @property
    def mesh(self) -> Mesh:
        """The triangles."""

    def colors(
        self,
        depth: NDArray[np.float32],
        face: NDArray[np.int32],
        weights: NDArray[np.float32],
        rays: NDArray[np.float64],
        centre: NDArray[np.float64],
        focal: float,
    ) -> NDArray[np.float32]:
        """Colors (H/2, W/2, 3), 0 to 1, of a raster (H, W) of twice the size.

        `rays` (3, 3) takes a fine pixel (u, v, 1) to a direction of the world with camera depth
        1; `focal` is in fine pixels.
        """


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """What the camera's electronics add."""

    noise: float = 1.6
    """Standard deviation in grey levels of 255."""
    vignetting: float = 0.14
    """Loss of light in the corners."""
    exposure_spread: float = 0.05
    """Standard deviation of the exposure from photo to photo."""


def photograph(
    scene: Painted, camera: CameraTruth, sensor: Sensor, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The photo (height, width, 3) in RGB."""
    image = distort(render_pinhole(scene, camera), camera.lens)
    lens = camera.lens
    y, x = np.ogrid[-1 : 1 : lens.height * 1j, -1 : 1 : lens.width * 1j]
    falloff = (1.0 - sensor.vignetting * ((x * x + y * y) / 2) ** 2).astype(np.float32)
    gain = 255.0 * (1.0 + np.clip(rng.normal(0.0, sensor.exposure_spread), -0.12, 0.12))
    image *= (gain * falloff)[..., None]
    image += sensor.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.clip(image, 0, 255, out=image).round()).astype(np.uint8)


def pinhole_size(lens: Lens) -> tuple[int, int]:
    """Width and height of the pinhole image from which the photo is bent."""
    return lens.width + 2 * round(MARGIN * lens.width), lens.height + 2 * round(
        MARGIN * lens.height
    )


def render_pinhole(scene: Painted, camera: CameraTruth) -> NDArray[np.float32]:
    """The scene without distortion, with a margin around the photo: (H, W, 3), 0 to 1."""
    width, height = pinhole_size(camera.lens)
    K = 2.0 * camera.lens.K
    K[0, 2], K[1, 2], K[2, 2] = width, height, 1.0
    vertices_cam = scene.mesh.vertices @ camera.R.T + camera.t
    raster = rasterize(
        vertices_cam, scene.mesh.faces, K, 2 * width, 2 * height, barycentric=True, threads=1
    )
    assert raster.barycentric is not None
    rays = camera.R.T @ np.linalg.inv(K)
    return scene.colors(
        raster.depth, raster.face, raster.barycentric, rays, camera.centre, float(K[0, 0])
    )


def distort(image: NDArray[np.float32], lens: Lens) -> NDArray[np.float32]:
    """Bend a pinhole image (with margin) the way the lens does: (height, width, 3)."""
    columns = (np.arange(lens.width) + 0.5 - lens.width / 2) / lens.focal
    rows = (np.arange(lens.height) + 0.5 - lens.height / 2) / lens.focal
    x, y = np.meshgrid(columns, rows)
    bent = np.hypot(x, y)
    straight = undistorted_radius(bent, lens.k1)
    ratio = np.divide(straight, bent, out=np.ones_like(bent), where=bent > 0)
    height, width = image.shape[:2]
    map_x = (x * ratio * lens.focal + width / 2 - 0.5).astype(np.float32)
    map_y = (y * ratio * lens.focal + height / 2 - 0.5).astype(np.float32)
    warped = cv2.remap(image, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.float32)


def undistorted_radius(bent: NDArray[np.float64], k1: float) -> NDArray[np.float64]:
    """Solve r * (1 + k1 * r^2) = bent for r by Newton's method."""
    radius = bent.copy()
    for _ in range(12):
        radius -= (radius * (1 + k1 * radius**2) - bent) / (1 + 3 * k1 * radius**2)
    return radius
