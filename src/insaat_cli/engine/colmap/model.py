"""COLMAP's sparse models as arrays: cameras, registered photos, points and their tracks.

COLMAP's pixels count from the corner of the first one: its centre is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap import camera
from insaat_cli.engine.colmap.camera import Camera

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NO_POINT = -1


@dataclass(frozen=True, kw_only=True)
class PlacedImage:
    """A photo whose camera is known."""

    image_id: int
    name: str
    camera_id: int
    cam_from_world: Floats
    """[3, 4]"""
    pixels: Floats
    """[n, 2] features."""
    point_ids: Integers
    """[n] point of each feature, NO_POINT where it has none."""

    @property
    def center(self) -> Floats:
        """[3] where the camera stands."""
        return np.asarray(-self.cam_from_world[:, :3].T @ self.cam_from_world[:, 3])


@dataclass(frozen=True, kw_only=True)
class Points:
    """All points; the track of row i is `starts[i]` to `starts[i + 1]` of the last two arrays."""

    ids: Integers
    """[p]"""
    positions: Floats
    """[p, 3]"""
    colors: npt.NDArray[np.uint8]
    """[p, 3]"""
    errors: Floats
    """[p] mean distance in pixels between what is seen and where the point projects."""
    starts: Integers
    """[p + 1]"""
    track_images: Integers
    """[e] image ids."""
    track_pixels: Integers
    """[e] rows of the images' `pixels`."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Integers:
        """[p] photos that see each point."""
        return np.diff(self.starts)

    @cached_property
    def rows(self) -> Integers:
        """[e] row of the point that each element of a track belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def track(self, row: int) -> tuple[Integers, Integers]:
        """Image ids, and rows of their pixels, that see the point of `row`."""
        span = slice(self.starts[row], self.starts[row + 1])
        return self.track_images[span], self.track_pixels[span]


@dataclass(frozen=True, kw_only=True)
class Model:
    """Everything that structure from motion found. Images are registered ones only."""

    cameras: Mapping[int, Camera]
    images: Mapping[int, PlacedImage]
    """By id, in the order of ids."""
    points: Points

    def errors_px(self) -> Floats:
        """[e] reprojection error of every element of a track; NaN behind the camera."""
        points = self.points
        found = np.full(len(points.track_images), np.nan)
        for image in self.images.values():
            mine = np.flatnonzero(points.track_images == image.image_id)
            world = points.positions[points.rows[mine]]
            rays = world @ image.cam_from_world[:, :3].T + image.cam_from_world[:, 3]
            projected = camera.project(self.cameras[image.camera_id], rays)
            seen = image.pixels[points.track_pixels[mine]]
            found[mine] = np.linalg.norm(projected - seen, axis=1)
        return found

    def mean_error_px(self) -> float:
        """Mean over points of their errors; 0 without points."""
        return float(self.points.errors.mean()) if len(self.points) else 0.0

    def with_errors(self) -> Model:
        """The same, with every point's error computed again."""
        points = self.points
        error = np.nan_to_num(self.errors_px())
        total = np.bincount(points.rows, error, minlength=len(points))
        errors = total / np.maximum(points.lengths, 1)
        return replace(self, points=replace(points, errors=errors))

    def moved(self, scale: float, rotation: Floats, translation: Floats) -> Model:
        """The same in another frame: x becomes scale * rotation @ x + translation."""
        images = {}
        for key, image in self.images.items():
            turned = image.cam_from_world[:, :3] @ rotation.T
            center = scale * rotation @ image.center + translation
            pose = np.column_stack([turned, -turned @ center])
            images[key] = replace(image, cam_from_world=pose)
        positions = scale * self.points.positions @ rotation.T + translation
        return replace(self, images=images, points=replace(self.points, positions=positions))

    def with_colors(self, folder: Path) -> Model:
        """The same, every point in the mean color of the photos in `folder` that see it."""
        points = self.points
        total = np.zeros((len(points), 3))
        for image in self.images.values():
            picture = cv2.imread(str(folder / image.name), cv2.IMREAD_COLOR)
            if picture is None:
                continue
            mine = np.flatnonzero(points.track_images == image.image_id)
            places = image.pixels[points.track_pixels[mine]] - 0.5
            total += _summed(points.rows[mine], _colors_at(picture, places), len(points))
        colors = np.rint(total / np.maximum(points.lengths, 1)[:, None]).astype(np.uint8)
        return replace(self, points=replace(points, colors=colors))

    def with_tracks(self, keep: npt.NDArray[np.bool_]) -> Model:
        """Only the elements of tracks that `keep` [e] marks; points seen once or less go."""
        points = self.points
        left = np.bincount(points.rows[keep], minlength=len(points))
        stays = left >= 2
        keep = keep & stays[points.rows]
        starts = np.concatenate([[0], np.cumsum(left[stays])])
        kept = Points(
            ids=points.ids[stays],
            positions=points.positions[stays],
            colors=points.colors[stays],
            errors=points.errors[stays],
            starts=starts.astype(np.int64),
            track_images=points.track_images[keep],
            track_pixels=points.track_pixels[keep],
        )
        return with_points(self.cameras, self.images, kept)


def with_points(
    cameras: Mapping[int, Camera], images: Mapping[int, PlacedImage], points: Points
) -> Model:
    """A model whose images refer to `points`, and to no other."""
    linked = {}
    for key, image in sorted(images.items()):
        ids = np.full(len(image.pixels), NO_POINT, np.int64)
        mine = np.flatnonzero(points.track_images == key)
        ids[points.track_pixels[mine]] = points.ids[points.rows[mine]]
        linked[key] = replace(image, point_ids=ids)
    return Model(cameras=cameras, images=linked, points=points)


def _colors_at(picture: Any, places: Floats) -> Floats:
    """[n, 3] RGB between the pixels at `places` [n, 2], which count from pixel centres."""
    x, y = np.ascontiguousarray(places.T, np.float32)
    found = [
        cv2.remap(picture, x[start : start + 30_000, None], y[start : start + 30_000, None],
                  cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for start in range(0, len(x), 30_000)
    ]  # fmt: skip
    if not found:
        return np.zeros((0, 3))
    return np.concatenate(found)[:, 0, ::-1].astype(np.float64)


def _summed(rows: Integers, values: Floats, count: int) -> Floats:
    return np.stack([np.bincount(rows, values[:, i], minlength=count) for i in range(3)], axis=1)
