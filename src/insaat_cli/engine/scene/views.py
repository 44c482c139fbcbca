"""Views and sparse points of a registered photo set, in the world frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap.model import NO_POINT
from insaat_cli.engine.colmap.model_files import read_model

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class View:
    """One undistorted photo with its pinhole camera."""

    name: str
    width: int
    height: int
    K: Floats
    """3x3, at full size, array-index pixel coordinates."""
    cam_from_world: Floats
    """3x4."""

    @property
    def R(self) -> Floats:  # noqa: N802 - the field writes it so
        """3x3 rotation of `cam_from_world`."""
        return self.cam_from_world[:, :3]

    @property
    def t(self) -> Floats:
        """Translation of `cam_from_world`, (3,)."""
        return self.cam_from_world[:, 3]

    @property
    def center(self) -> Floats:
        """Camera centre in the world frame, (3,)."""
        return np.asarray(-self.R.T @ self.t)

    def resized(self, width: int, height: int) -> View:
        """The same camera for a photo resampled to `width` x `height`."""
        K = self.K.copy()
        sx, sy = width / self.width, height / self.height
        K[0] *= sx
        K[1] *= sy
        K[0, 2] += 0.5 * sx - 0.5
        K[1, 2] += 0.5 * sy - 0.5
        return View(
            name=self.name, width=width, height=height, K=K, cam_from_world=self.cam_from_world
        )

    def fitted(self, max_side: int) -> View:
        """The same camera, its longer side at most `max_side` pixels."""
        scale = min(1.0, max_side / max(self.width, self.height))
        return self.resized(max(1, round(self.width * scale)), max(1, round(self.height * scale)))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Cameras and sparse points: what dense matching knows before it looks at a pixel."""

    views: list[View]
    points: Floats
    """(P, 3) sparse points in the world frame."""
    seen: list[Indices]
    """For every view the indices of the sparse points that it saw."""


def load_scene(model: Path) -> Scene:
    """Read an undistorted (PINHOLE) COLMAP model; views are ordered by name."""
    found = read_model(model)
    order = np.argsort(found.points.ids)
    ids = found.points.ids[order]
    points = found.points.positions[order]
    views, seen = [], []
    for image in sorted(found.images.values(), key=lambda image: image.name):
        camera = found.cameras[image.camera_id]
        K = camera.calibration_matrix()
        K[:2, 2] -= 0.5
        views.append(
            View(
                name=image.name,
                width=camera.width,
                height=camera.height,
                K=K,
                cam_from_world=image.cam_from_world,
            )
        )
        mine = np.unique(image.point_ids[image.point_ids != NO_POINT])
        seen.append(np.searchsorted(ids, mine))
    return Scene(views=views, points=points, seen=seen)
