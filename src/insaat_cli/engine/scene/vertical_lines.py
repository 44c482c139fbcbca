"""Gravity from what people build: edges of doors, windows, shelves and corners are plumb.

A straight edge in a photo spans a plane with the camera's centre; the planes of all plumb edges, of
all photos, have the vertical in common (the vertical vanishing point, as the poses are known).
Segments are those of R. Grompone von Gioi et al., "LSD: a line segment detector" (IPOL 2012).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap.camera import Camera, unproject
from insaat_cli.engine.colmap.model import Model

Array = npt.NDArray[np.float64]

MAX_SIDE = 900
"""Longest side in pixels of the picture in which segments are sought."""
MIN_LENGTH = 0.06
"""Of a segment, as a share of the longest side."""
MAX_PHOTOS = 60
SEARCH_DEG = 7.0
"""How far the vertical may be from what the cameras' poses say."""
PLUMB_DEG = 0.7
"""A segment whose plane misses the vertical by less is plumb."""
PLUMB_SHARE = 0.6
"""Share of the segments near the vertical that agree, at least: 0.9 in rooms and courtyards. Of a
bag on a table before shelves, or of one picture on a wall, it is half: they may stand askew."""
MIN_SEGMENTS = 30
MIN_PHOTOS = 4
SPREAD_MIN = 0.02
"""Least spread of headings (the second eigenvalue of the planes' normals, of 1): edges that were
seen from one side only do not tell the tilt towards that side."""
GRID_STEP_DEG = 0.4


@dataclass(frozen=True, kw_only=True)
class PlumbLines:
    """What plumb edges say about gravity."""

    up: Array
    """Unit vector."""
    segments: int
    """How many agree."""
    photos: int
    """In so many photos."""


def find_plumb_lines(model: Model, images: Path, up: Array) -> PlumbLines | None:
    """The vertical of `model` near `up` (unit), by edges in the photos of the folder `images`.

    None where edges do not say: no photo shows enough of them, or those of all photos scatter.
    """
    chosen = sorted(model.images.values(), key=lambda image: image.name)
    step = max(1, len(chosen) // MAX_PHOTOS)
    normals, numbers = [], []
    for number, image in enumerate(chosen[::step]):
        camera = model.cameras[image.camera_id]
        planes = segment_planes(images / image.name, camera)
        normals.append(planes @ image.cam_from_world[:, :3])
        numbers.append(np.full(len(planes), number))
    if not normals:
        return None
    return plumb_lines(np.concatenate(normals), np.concatenate(numbers), up)


def segment_planes(path: Path, camera: Camera) -> Array:
    """Unit normals [n, 3], in the camera's axes, of the planes through the long segments of a
    photo; none where it cannot be read."""
    gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        return np.zeros((0, 3))
    factor = min(1.0, MAX_SIDE / max(gray.shape))
    size = (round(gray.shape[1] * factor), round(gray.shape[0] * factor))
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    found = cv2.createLineSegmentDetector().detect(small)[0]
    if found is None:
        return np.zeros((0, 3))
    ends = found.reshape(-1, 2, 2).astype(np.float64) + 0.5
    ends = ends[np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) > MIN_LENGTH * max(size)]
    full = (ends * [camera.width / size[0], camera.height / size[1]]).reshape(-1, 2)
    rays = np.column_stack([unproject(camera, full), np.ones(len(full))]).reshape(-1, 2, 3)
    normals = np.cross(rays[:, 0], rays[:, 1])
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))


def plumb_lines(normals: Array, photos: npt.NDArray[np.int64], up: Array) -> PlumbLines | None:
    """The vertical near `up` that most planes (unit normals [n, 3], each of a photo) contain."""
    near = np.abs(normals @ up) < np.sin(np.radians(SEARCH_DEG + PLUMB_DEG))
    normals, photos = normals[near], photos[near]
    if len(normals) < MIN_SEGMENTS:
        return None
    limit = np.sin(np.radians(PLUMB_DEG))
    candidates = np.array(list(_directions_near(up)))
    counts = np.array([int((np.abs(normals @ one) < limit).sum()) for one in candidates])
    best = np.asarray(candidates[int(counts.argmax())])
    for _ in range(10):
        off = normals @ best
        weights = 1.0 / (1.0 + (off / (0.5 * limit)) ** 2)
        spread = (weights[:, None] * normals).T @ normals / weights.sum()
        _, vectors = np.linalg.eigh(spread)
        best = vectors[:, 0] * np.sign(vectors[:, 0] @ up)
    plumb = np.abs(normals @ best) < limit
    found = PlumbLines(up=best, segments=int(plumb.sum()), photos=len(np.unique(photos[plumb])))
    inside = normals[plumb]
    flat = np.linalg.eigvalsh(inside.T @ inside / max(len(inside), 1))
    enough = max(MIN_SEGMENTS, PLUMB_SHARE * len(normals))
    agreed = found.segments >= enough and found.photos >= MIN_PHOTOS
    beside = np.degrees(np.arccos(np.clip(best @ up, -1.0, 1.0))) < SEARCH_DEG
    return found if agreed and beside and flat[1] > SPREAD_MIN else None


def _directions_near(up: Array) -> Iterable[Array]:
    """Unit vectors on a grid around `up`, out to SEARCH_DEG."""
    first = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    first /= np.linalg.norm(first)
    second = np.cross(up, first)
    reach = np.arange(-SEARCH_DEG, SEARCH_DEG + GRID_STEP_DEG / 2, GRID_STEP_DEG)
    for a in np.tan(np.radians(reach)):
        for b in np.tan(np.radians(reach)):
            if np.hypot(a, b) <= np.tan(np.radians(SEARCH_DEG)):
                yield (up + a * first + b * second) / np.sqrt(1 + a * a + b * b)
