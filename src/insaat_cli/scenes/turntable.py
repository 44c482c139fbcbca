"""A subject on a turntable, photographed from a tripod: it turns, and what is behind stands still.

In the subject's frame the camera goes around it, as ever. But what lies beyond the turntable is
painted as a camera sees it that never moved: the front of a house, and cobbles before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.scenes.photograph import Painted
from insaat_cli.scenes.subjects import Mesh

DISC_RADIUS = 0.42
SUBJECT_PLACE = np.array([0.15, -0.75, 0.0])
"""Where the turntable stands before the house."""


@dataclass(frozen=True, kw_only=True)
class Turntable:
    """Two scenes in one: the first turns, the second does not."""

    subject: Painted
    behind: Painted

    @property
    def mesh(self) -> Mesh:
        """What is to be reconstructed."""
        return self.subject.mesh

    def colors(
        self,
        depth: NDArray[np.float32],
        face: NDArray[np.int32],
        weights: NDArray[np.float32],
        rays: NDArray[np.float64],
        centre: NDArray[np.float64],
        focal: float,
    ) -> NDArray[np.float32]:
        """As `Painted.colors`."""
        front = self.subject.colors(depth, face, weights, rays, centre, focal)
        still = self._behind(depth.shape, rays, centre, focal)
        height, width = depth.shape
        turning = _turning(depth, face, rays, centre)
        share = turning.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))[..., None]
        return np.asarray(share * front + (1.0 - share) * still, dtype=np.float32)

    def _behind(
        self,
        shape: tuple[int, ...],
        rays: NDArray[np.float64],
        centre: NDArray[np.float64],
        focal: float,
    ) -> NDArray[np.float32]:
        """What the tripod's camera sees: it looks along +y, whatever the turntable's angle."""
        angle = -np.pi / 2 - np.arctan2(centre[1], centre[0])
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        still_rays, still_centre = turn @ rays, turn @ centre + SUBJECT_PLACE
        # In these axes a point is its pixel times its depth: no other calibration is needed.
        vertices = (self.behind.mesh.vertices - still_centre) @ np.linalg.inv(still_rays).T
        raster = rasterize(
            vertices, self.behind.mesh.faces, np.eye(3), shape[1], shape[0], barycentric=True,
            threads=1,
        )  # fmt: skip
        assert raster.barycentric is not None
        return self.behind.colors(
            raster.depth, raster.face, raster.barycentric, still_rays, still_centre, focal
        )


def _turning(
    depth: NDArray[np.float32],
    face: NDArray[np.int32],
    rays: NDArray[np.float64],
    centre: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(H, W): where the subject or the disc under it is seen."""
    v, u = np.mgrid[0 : depth.shape[0], 0 : depth.shape[1]] + 0.5
    direction = np.stack([u, v, np.ones_like(u)], axis=-1) @ rays.T
    with np.errstate(divide="ignore", invalid="ignore"):
        way = np.where(direction[..., 2] < -1e-6, -centre[2] / direction[..., 2], np.inf)
        x, y = centre[0] + way * direction[..., 0], centre[1] + way * direction[..., 1]
        on_disc = np.hypot(x, y) < DISC_RADIUS
    return np.asarray(((face >= 0) & (depth < way)) | on_disc)
