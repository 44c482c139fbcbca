"""Pictures of a textured mesh, drawn in software: no GPU, no window."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.engine.scene.optical_axes import Focus
from insaat_cli.mesh_io.textured_mesh import TexturedMesh

SUPERSAMPLING = 2
FIELD_OF_VIEW_DEG = 30.0
ELEVATION_DEG = 15.0
BACKGROUND_TOP = (236, 238, 240)
BACKGROUND_BOTTOM = (198, 202, 206)
UP = np.array([0.0, 1.0, 0.0])
FRAMED_PERCENT = 99.7
"""Share of the surface that must lie in the frame; stray pieces far off may not shrink the rest."""
MARGIN = 1.08
FOCUS_MIN_SHARE = 0.02
"""A focus that holds less of the surface than this has missed the subject."""


def render(
    mesh: TexturedMesh,
    cam_from_world: NDArray[np.float64],
    K: NDArray[np.float64],
    width: int,
    height: int,
    *,
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Draw the mesh as RGB (height, width, 3) on a neutral background.

    `cam_from_world` (3, 4) in opencv camera axes, `K` (3, 3) with pixel centres at +0.5. Texture
    colors are shown as they are, without further light.
    """
    fine = SUPERSAMPLING
    vertices = mesh.vertices @ cam_from_world[:, :3].T + cam_from_world[:, 3]
    scaled_K = np.diag([fine, fine, 1.0]) @ K
    raster = rasterize(
        vertices, mesh.faces, scaled_K, fine * width, fine * height, barycentric=True,
        threads=threads,
    )  # fmt: skip
    picture = _background(fine * width, fine * height)
    # Averages of the texture at half, a quarter, ... of its size, so that a model seen from afar
    # does not sparkle.
    for number, page in enumerate(mesh.pages):
        face = raster.face
        if mesh.page_of_face is not None:
            face = np.where((face >= 0) & (mesh.page_of_face[face] == number), face, np.int32(-1))
        texture = _texture_for(mesh, page, face)
        _shade(face, raster.barycentric, mesh.faces, mesh.uv, texture, picture)
    return np.asarray(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8
    )


def four_sides(
    mesh: TexturedMesh,
    directions: Sequence[NDArray[np.float64]],
    width: int,
    height: int,
    *,
    focus: Focus | None = None,
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Pictures of the mesh (Y up) seen from the given directions (unit, from its middle), 2 x 2.

    With `focus`, what lies within it fills the pictures; else the whole mesh does.
    """
    K = intrinsics(width, height)
    points = surface_points(mesh)
    share = FRAMED_PERCENT
    if focus is not None:
        within = np.linalg.norm(points - focus.centre, axis=1) <= focus.radius
        if within.mean() >= FOCUS_MIN_SHARE:
            # Most of this is ground; the tips of the subject are few points, and must be in view.
            points, share = points[within], 100.0
    cameras = [framing_camera(points, way, K, width, height, share) for way in directions]
    pictures = [render(mesh, camera, K, width, height, threads=threads) for camera in cameras]
    rows = [np.concatenate(pictures[i : i + 2], axis=1) for i in range(0, len(pictures), 2)]
    return np.concatenate(rows, axis=0)


def preview_directions(centers: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Four directions (unit) a quarter turn apart, the first from where most of the cameras
    `centers` (N, 3) stand."""
    mean = centers[:, [0, 2]].mean(axis=0) if len(centers) else np.array([0.0, 1.0])
    start = float(np.arctan2(mean[0], mean[1])) if np.linalg.norm(mean) > 0 else 0.0
    elevation = np.radians(ELEVATION_DEG)
    return [
        np.array(
            [
                np.sin(angle) * np.cos(elevation),
                np.sin(elevation),
                np.cos(angle) * np.cos(elevation),
            ]
        )
        for angle in start + np.radians([0, 90, 180, 270])
    ]


def framing_camera(
    surface: NDArray[np.float64],
    direction: NDArray[np.float64],
    K: NDArray[np.float64],
    width: int,
    height: int,
    percent: float = FRAMED_PERCENT,
) -> NDArray[np.float64]:
    """A camera (3, 4) that looks along -`direction` and sees `percent` of `surface` (N, 3)."""
    forward = -direction / np.linalg.norm(direction)
    right = np.cross(forward, UP)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    points = surface @ rotation.T
    half = np.array([width / 2, height / 2]) / np.diag(K)[:2] / MARGIN
    # The frame's four planes pass through outermost points; of two opposite planes follow the
    # camera's place across and its distance.
    low = np.percentile(points[:, :2] + half * points[:, 2:], 100 - percent, axis=0)
    high = np.percentile(points[:, :2] - half * points[:, 2:], percent, axis=0)
    across = (low + high) / 2
    depth = float(((low - high) / (2 * half)).min())
    return np.column_stack([rotation, -np.array([*across, depth])])


def surface_points(mesh: TexturedMesh, most: int = 50_000) -> NDArray[np.float64]:
    """Points spread evenly over the surface: face middles, drawn by area (seeded)."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    total = np.cumsum(area)
    drawn = np.searchsorted(total, (np.arange(most) + 0.5) / most * total[-1])
    return np.asarray(corners[np.minimum(drawn, len(area) - 1)].mean(axis=1))


def intrinsics(width: int, height: int) -> NDArray[np.float64]:
    """(3, 3) of the pictures' camera."""
    focal = 0.5 * min(width, height) / np.tan(np.radians(FIELD_OF_VIEW_DEG) / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def _background(width: int, height: int) -> NDArray[np.uint8]:
    share = np.linspace(0, 1, height)[:, None]
    column = (1 - share) * np.array(BACKGROUND_TOP) + share * np.array(BACKGROUND_BOTTOM)
    return np.repeat(np.rint(column).astype(np.uint8)[:, None], width, axis=1)


def _texture_for(
    mesh: TexturedMesh, texture: NDArray[np.uint8], face: NDArray[np.int32]
) -> NDArray[np.uint8]:
    """A page of the texture, halved until a texel is no smaller than a pixel of the drawing."""
    drawn = np.unique(face[face >= 0])
    if not len(drawn):
        return texture
    size = np.array([texture.shape[1], texture.shape[0]])
    a, b, c = np.moveaxis(mesh.uv[mesh.faces[drawn]] * size, 1, 0)
    ab, ac = b - a, c - a
    texels = 0.5 * np.abs(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]).sum()
    while texels > 4 * np.count_nonzero(face >= 0) and min(texture.shape[:2]) > 1:
        size = np.maximum(size // 2, 1)
        halved = cv2.resize(texture, tuple(size.tolist()), interpolation=cv2.INTER_AREA)
        texture = np.asarray(halved, np.uint8)
        texels /= 4
    return np.ascontiguousarray(texture)


@numba.njit(cache=True, nogil=True)
def _shade(face, weights, faces, uv, texture, picture):  # type: ignore[no-untyped-def]
    """Write the bilinear texture color of every drawn pixel."""
    height, width = texture.shape[:2]
    for row in range(face.shape[0]):
        for column in range(face.shape[1]):
            index = face[row, column]
            if index < 0:
                continue
            w1, w2 = weights[row, column, 0], weights[row, column, 1]
            w0 = 1.0 - w1 - w2
            i, j, k = faces[index, 0], faces[index, 1], faces[index, 2]
            x = (w0 * uv[i, 0] + w1 * uv[j, 0] + w2 * uv[k, 0]) * width - 0.5
            y = (w0 * uv[i, 1] + w1 * uv[j, 1] + w2 * uv[k, 1]) * height - 0.5
            x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
            x0, y0 = int(x), int(y)
            x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
            fx, fy = x - x0, y - y0
            for c in range(3):
                top = (1 - fx) * texture[y0, x0, c] + fx * texture[y0, x1, c]
                bottom = (1 - fx) * texture[y1, x0, c] + fx * texture[y1, x1, c]
                picture[row, column, c] = np.uint8((1 - fy) * top + fy * bottom + 0.5)
