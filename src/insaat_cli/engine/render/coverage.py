"""How many photos see each part of a surface, and the surface colored by it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.render.preview import (
    BACKGROUND_TOP,
    FOCUS_MIN_SHARE,
    FRAMED_PERCENT,
    framing_camera,
    intrinsics,
)
from insaat_cli.engine.render.raster import rasterize
from insaat_cli.engine.scene.optical_axes import Focus
from insaat_cli.engine.scene.views import View
from insaat_cli.mesh_io.face_class import FaceClass

Floats = NDArray[np.float64]

LOOKING_PX = 480
"""Longest side of the depth maps that say what hides what."""
HIDDEN_SHARE = 0.01
"""Of its distance: how far behind the nearest surface a face may lie and still count as seen."""
GRAZING_COSINE = 0.17
"""A face seen more obliquely than 80 degrees is hardly seen."""
MAX_DRAWN_FACES = 30_000_000
"""Faces times photos; of more, photos spread evenly over the set are looked through."""
ENOUGH_FACES = 40_000
"""For pictures of 480 pixels."""
MIN_PHOTOS = 24
STEPS = (1, 2, 3, 5, 9)
"""Where the next color begins, in photos."""
COLORS = np.array(
    [
        [165, 0, 38], [222, 63, 46], [252, 141, 89], [254, 224, 144], [145, 191, 219],
        [69, 117, 180],
    ], np.uint8,
)  # fmt: skip
"""Of 0, 1, 2, 3 to 4, 5 to 8, 9 and more photos (ColorBrewer's RdYlBu, told apart by all eyes)."""
CLASS_COLORS = {
    FaceClass.COMPLETED: np.array([0, 158, 115], np.uint8),
    FaceClass.CLOSED: np.array([204, 121, 167], np.uint8),
}
"""Of what was not measured (Okabe and Ito's palette), whatever number of photos sees it."""
DARKEST = 0.45


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A triangle mesh with what is needed of each face."""

    vertices: Floats
    """(V, 3)."""
    faces: NDArray[np.int32]
    """(F, 3)."""
    middles: Floats
    """(F, 3)."""
    normals: Floats
    """(F, 3), unit."""
    areas: Floats
    """(F,)."""

    @classmethod
    def of(cls, vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32]) -> Surface:
        places = vertices.astype(float)
        a, b, c = (places[faces[:, k]] for k in range(3))
        across = np.cross(b - a, c - a)
        length = np.linalg.norm(across, axis=1)
        return cls(
            vertices=places,
            faces=faces,
            middles=(a + b + c) / 3,
            normals=across / np.maximum(length, 1e-30)[:, None],
            areas=length / 2,
        )


def coarse_surface(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], *, focus: Focus | None
) -> Surface:
    """The mesh with about `ENOUGH_FACES` faces of the subject: vertices in a cell become one.

    Vertex clustering (Rossignac and Borrel 1993). It also joins what seams of the texture parted.
    """
    fine = Surface.of(vertices, faces)
    area = fine.areas.sum()
    if focus is not None:
        area = fine.areas[in_focus(fine.middles, focus)].sum() or area
    if len(faces) <= ENOUGH_FACES or not area > 0:
        return fine
    cell = np.sqrt(2 * float(area) / ENOUGH_FACES)
    cells = np.floor((fine.vertices - fine.vertices.min(axis=0)) / cell).astype(np.int64)
    size = cells.max(axis=0) + 1
    keys = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    _, joined, weight = np.unique(keys, return_inverse=True, return_counts=True)
    means = [np.bincount(joined, fine.vertices[:, k]) / weight for k in range(3)]
    corners = joined[faces].astype(np.int32)
    a, b, c = corners.T
    return Surface.of(np.stack(means, axis=1), corners[(a != b) & (b != c) & (c != a)])


def photos_looked_through(views: Sequence[View], faces: int) -> list[View]:
    """All views; of very many on a very large mesh, some spread evenly."""
    most = max(MIN_PHOTOS, MAX_DRAWN_FACES // max(faces, 1))
    if len(views) <= most:
        return list(views)
    return [views[i] for i in np.linspace(0, len(views) - 1, most).round().astype(int)]


def count_photos(surface: Surface, views: Sequence[View], *, threads: int) -> NDArray[np.int32]:
    """(F,): how many of `views` see each face.

    One depth map a thread is in memory at a time.
    """
    counts = np.zeros(len(surface.faces), np.int32)
    with ThreadPoolExecutor(threads) as workers:
        for seen in workers.map(lambda view: _seen(surface, view.fitted(LOOKING_PX)), views):
            counts += seen
    return counts


def _seen(surface: Surface, view: View) -> NDArray[np.bool_]:
    K = view.K + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # the rasteriser's convention
    raster = rasterize(
        surface.vertices @ view.R.T + view.t, surface.faces, K, view.width, view.height, threads=1
    )
    # Along an outline the farther of two surfaces may count as seen: no face is lost to rounding.
    farthest = np.where(np.isfinite(raster.depth), raster.depth, 0.0).astype(np.float32)
    farthest = np.asarray(cv2.dilate(farthest, np.ones((3, 3), np.uint8)))
    middles = surface.middles @ view.R.T + view.t
    depth = middles[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        places = (middles @ K.T)[:, :2] / depth[:, None]
    inside = (depth > 0) & (places >= 0).all(axis=1) & (places < [view.width, view.height]).all(1)
    chosen = np.flatnonzero(inside)
    column, row = places[chosen].astype(int).T
    chosen = chosen[depth[chosen] <= farthest[row, column] * (1 + HIDDEN_SHARE)]
    towards = view.center - surface.middles[chosen]
    facing = np.abs(np.einsum("fk,fk->f", towards, surface.normals[chosen]))
    seen = np.zeros(len(depth), bool)
    seen[chosen] = facing > GRAZING_COSINE * np.linalg.norm(towards, axis=1)
    return seen


def color_of(
    counts: NDArray[np.int32], classes: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """(F, 3) RGB: by number of photos, except for what `classes` (F,) say was not measured."""
    colors = np.asarray(COLORS[np.digitize(counts, STEPS)])
    if classes is not None:
        for kind, color in CLASS_COLORS.items():
            colors[classes == kind] = color
    return colors


def draw_sides(
    surface: Surface,
    colors: NDArray[np.uint8],
    directions: Sequence[Floats],
    width: int,
    height: int,
    *,
    focus: Focus | None = None,
    threads: int,
) -> NDArray[np.uint8]:
    """Pictures of the colored faces from `directions` (unit, outwards), side by side in twos."""
    K = intrinsics(2 * width, 2 * height)
    points, share = _framed(surface, focus)
    pictures = []
    for direction in directions:
        camera = framing_camera(points, direction, K, 2 * width, 2 * height, share)
        raster = rasterize(
            surface.vertices @ camera[:, :3].T + camera[:, 3],
            surface.faces, K, 2 * width, 2 * height, threads=threads,
        )  # fmt: skip
        light = np.abs(surface.normals @ camera[2, :3])
        shaded = colors * (DARKEST + (1 - DARKEST) * light)[:, None]
        shown = np.concatenate([shaded, [BACKGROUND_TOP]]).astype(np.uint8)[raster.face]
        pictures.append(cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA))
    rows = [np.concatenate(pictures[i : i + 2], axis=1) for i in range(0, len(pictures), 2)]
    return np.asarray(np.concatenate(rows, axis=0), np.uint8)


def _framed(surface: Surface, focus: Focus | None, most: int = 20_000) -> tuple[Floats, float]:
    """Points spread over the surface by area, and how many percent of them a picture must show.

    All of the subject where it has enough of them, else nearly all of the surface.
    """
    total = np.cumsum(surface.areas)
    drawn = np.searchsorted(total, (np.arange(most) + 0.5) / most * total[-1])
    points = surface.middles[np.minimum(drawn, len(total) - 1)]
    within = points if focus is None else points[in_focus(points, focus)]
    if focus is None or len(within) < FOCUS_MIN_SHARE * most:
        return points, FRAMED_PERCENT
    return within, 100.0


def in_focus(points: Floats, focus: Focus) -> NDArray[np.bool_]:
    """Which points (N, 3) lie in the sphere about the subject."""
    return np.asarray(np.linalg.norm(points - focus.centre, axis=1) <= focus.radius)
