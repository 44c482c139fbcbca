"""Which photos see each face, how well, and in which color.

A face's quality in a photo is the area it covers there, in pixels, times the mean gradient
magnitude (its sharpness) and the cosine of the viewing angle. Only the best few photos of a face
are kept, so memory does not grow with the number of photos.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.engine.texture.photo import Photo
from insaat_cli.engine.working_images import read_mask

MAX_CANDIDATES = 12
BORDER_PX = 2.0
"""Faces nearer to the photo's border are not taken from it."""
SMALLEST_COSINE = 0.1
SHARPNESS_FLOOR = 2.0
"""Gradient, in grey levels a pixel, added to every face: noise makes as much in a flat area."""
SHARPNESS_STEP = 4
COUNTED_AREA_PX = 16.0
"""Faces larger than this must be seen as a whole; smaller ones are tested at points."""
SEEN_SHARE = 0.85
EDGE_PX = 3
"""So near to an outline a face may show its background in the photo."""
EDGE_JUMP = 8.0
EDGE_WORTH = 0.1


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The photos each face may be textured from, ordered by photo."""

    count: NDArray[np.int32]
    """(F,) photos that see the face, at most `MAX_CANDIDATES`."""
    photo: NDArray[np.int32]
    """(F, C) index of the photo."""
    quality: NDArray[np.float32]
    """(F, C) higher is better."""
    color: NDArray[np.uint8]
    """(F, C, 3) mean RGB of the face."""

    @classmethod
    def empty(cls, faces: int, most: int = MAX_CANDIDATES) -> Candidates:
        return cls(
            count=np.zeros(faces, np.int32),
            photo=np.full((faces, most), -1, np.int32),
            quality=np.zeros((faces, most), np.float32),
            color=np.zeros((faces, most, 3), np.uint8),
        )


def find_candidates(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    photos: Sequence[Photo],
    *,
    threads: int,
    progress: Callable[[float], None],
) -> Candidates:
    """Look at the mesh (V, 3), (F, 3) through every photo, one photo in memory at a time."""
    candidates = Candidates.empty(len(faces))
    corners = vertices[faces[:: max(1, len(faces) // 20000)]]
    edge = float(np.median(np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1)))
    for index, photo in enumerate(photos):
        _add_photo(candidates, vertices, faces, photo, index, 0.5 * edge, threads)
        progress((index + 1) / len(photos))
    return candidates


def _add_photo(
    candidates: Candidates,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    photo: Photo,
    index: int,
    depth_bias: float,
    threads: int,
) -> None:
    in_camera = photo.to_camera(vertices)
    raster = rasterize(in_camera, faces, photo.K, photo.width, photo.height, threads=threads)
    kept = read_mask(photo.path, photo.width, photo.height)
    if kept is not None:
        # Nothing is seen through a mask: as if something stood right before the lens.
        raster.face[~kept], raster.depth[~kept] = -1, 0.0
    seen_px = np.bincount(raster.face.ravel() + 1, minlength=len(faces) + 1)[1:].astype(np.int32)
    pixels = photo.read()
    sharpness = _sharpness(pixels)
    colors = cv2.resize(pixels, (photo.width // 2, photo.height // 2), interpolation=cv2.INTER_AREA)

    def judge(part: tuple[int, int]) -> None:
        _judge_faces(
            part[0], part[1], index, in_camera, faces, photo.K, depth_bias, raster.depth, seen_px,
            sharpness, colors, candidates.count, candidates.photo, candidates.quality,
            candidates.color,
        )  # fmt: skip

    edges = np.linspace(0, len(faces), threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(judge, itertools.pairwise(edges)))


def _sharpness(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean gradient magnitude, in grey levels a pixel, at a quarter of the photo's size."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    magnitude = cv2.magnitude(dx, dy)
    height, width = grey.shape
    size = (max(1, width // SHARPNESS_STEP), max(1, height // SHARPNESS_STEP))
    small = cv2.resize(magnitude, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5), np.float32)


@numba.njit(cache=True, nogil=True)
def _hidden(depth, u, v, z, tolerance, reach):  # type: ignore[no-untyped-def]
    """True if something stands clearly before the point, in any pixel up to `reach` away."""
    height, width = depth.shape
    x0, y0 = int(u), int(v)
    for y in range(max(0, y0 - reach), min(height, y0 + reach + 1)):
        for x in range(max(0, x0 - reach), min(width, x0 + reach + 1)):
            if depth[y, x] < z - tolerance:
                return True
    return False


@numba.njit(cache=True, nogil=True)
def _insert(face, photo, quality, color, count, photos, qualities, colors):  # type: ignore[no-untyped-def]
    """Append a candidate; if the face is full, drop its worst. Keeps the order of the photos."""
    most = photos.shape[1]
    n = count[face]
    if n == most:
        worst = 0
        for k in range(1, n):
            if qualities[face, k] < qualities[face, worst]:
                worst = k
        if qualities[face, worst] >= quality:
            return
        for k in range(worst, n - 1):
            photos[face, k] = photos[face, k + 1]
            qualities[face, k] = qualities[face, k + 1]
            for c in range(3):
                colors[face, k, c] = colors[face, k + 1, c]
        n -= 1
    photos[face, n] = photo
    qualities[face, n] = quality
    for c in range(3):
        colors[face, n, c] = np.uint8(color[c] + 0.5)
    count[face] = n + 1


@numba.njit(cache=True, nogil=True)
def _facing(a, b, c):  # type: ignore[no-untyped-def]
    """Unit normal of a face in camera space, its plane's offset, and the viewing angle's cosine.

    The cosine is negative for a face seen from behind, and for one without area.
    """
    nx = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1])
    ny = (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2])
    nz = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    x, y, z = (a[0] + b[0] + c[0]) / 3, (a[1] + b[1] + c[1]) / 3, (a[2] + b[2] + c[2]) / 3
    if length == 0.0:
        return 0.0, 0.0, 0.0, -1.0
    nx, ny, nz = nx / length, ny / length, nz / length
    offset = nx * x + ny * y + nz * z
    return nx, ny, offset, -offset / np.sqrt(x * x + y * y + z * z)


@numba.njit(cache=True, nogil=True)
def _place(a, b, c, K, width, height, at):  # type: ignore[no-untyped-def]
    """Fill `at` (4, 3): pixel and depth of the corners and the middle; False if not all inside."""
    for k in range(3):
        at[0, k], at[1, k], at[2, k] = a[k], b[k], c[k]
        at[3, k] = (a[k] + b[k] + c[k]) / 3
    for i in range(4):
        u = K[0, 0] * at[i, 0] / at[i, 2] + K[0, 2]
        v = K[1, 1] * at[i, 1] / at[i, 2] + K[1, 2]
        if not (BORDER_PX <= u < width - BORDER_PX and BORDER_PX <= v < height - BORDER_PX):
            return False
        at[i, 0], at[i, 1] = u, v
    return True


@numba.njit(cache=True, nogil=True)
def _visible(at, depth, bias, slope):  # type: ignore[no-untyped-def]
    """True if nothing stands before the face's middle (or next to it) nor before its corners."""
    for i in range(4):
        # Corners are drawn in a little: at the very corner other faces begin.
        share = 0.0 if i == 3 else 0.7
        reach = 1 if i == 3 else 0
        u = at[3, 0] + share * (at[i, 0] - at[3, 0])
        v = at[3, 1] + share * (at[i, 1] - at[3, 1])
        z = at[3, 2] + share * (at[i, 2] - at[3, 2])
        if _hidden(depth, u, v, z, bias + (1.0 + reach) * slope, reach):
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _at_edge(at, depth, jump):  # type: ignore[no-untyped-def]
    """True if close to the face's middle something lies clearly behind it: an outline in the photo.

    Geometry is never exact to the pixel, so what the photo shows there may be the background.
    """
    height, width = depth.shape
    x0, y0, z = int(at[3, 0]), int(at[3, 1]), at[3, 2]
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            x = min(max(x0 + EDGE_PX * dx, 0), width - 1)
            y = min(max(y0 + EDGE_PX * dy, 0), height - 1)
            if depth[y, x] > z + jump:
                return True
    return False


@numba.njit(cache=True, nogil=True)
def _look(at, sharpness, colors, color):  # type: ignore[no-untyped-def]
    """Fill `color` with the mean color at four points of the face; returns their sharpness."""
    sharp = 0.0
    for k in range(3):
        color[k] = 0.0
    for i in range(4):
        u = at[3, 0] + 0.5 * (at[i, 0] - at[3, 0])
        v = at[3, 1] + 0.5 * (at[i, 1] - at[3, 1])
        x = min(int(u) // SHARPNESS_STEP, sharpness.shape[1] - 1)
        y = min(int(v) // SHARPNESS_STEP, sharpness.shape[0] - 1)
        sharp += 0.25 * sharpness[y, x]
        x, y = min(int(u) // 2, colors.shape[1] - 1), min(int(v) // 2, colors.shape[0] - 1)
        for k in range(3):
            color[k] += 0.25 * colors[y, x, k]
    return sharp


@numba.njit(cache=True, nogil=True)
def _judge_faces(  # type: ignore[no-untyped-def]
    first, end, photo, vertices, faces, K, depth_bias, depth, seen_px, sharpness, colors,
    count, photos, qualities, candidate_colors,
):  # fmt: skip
    """Add one photo to the candidates of the faces [first, end) that it sees."""
    height, width = depth.shape
    at = np.empty((4, 3))
    color = np.empty(3)
    for face in range(first, end):
        a, b, c = vertices[faces[face, 0]], vertices[faces[face, 1]], vertices[faces[face, 2]]
        if min(a[2], b[2], c[2]) <= 0.0:
            continue
        nx, ny, offset, cosine = _facing(a, b, c)
        if cosine < SMALLEST_COSINE or not _place(a, b, c, K, width, height, at):
            continue
        ab_x, ab_y = at[1, 0] - at[0, 0], at[1, 1] - at[0, 1]
        ac_x, ac_y = at[2, 0] - at[0, 0], at[2, 1] - at[0, 1]
        area = 0.5 * abs(ab_x * ac_y - ab_y * ac_x)
        # Of a small face the pixel count varies by about its side with where it lies.
        if area > COUNTED_AREA_PX and seen_px[face] < SEEN_SHARE * area - np.sqrt(area):
            continue
        # The depth of the face's plane changes by so much from a pixel to the next.
        slope = at[3, 2] ** 2 / abs(offset) * (abs(nx) / K[0, 0] + abs(ny) / K[1, 1])
        if not _visible(at, depth, depth_bias, slope):
            continue
        sharp = _look(at, sharpness, colors, color)
        quality = area * cosine * (sharp + SHARPNESS_FLOOR)
        if _at_edge(at, depth, EDGE_JUMP * depth_bias + (1.5 * EDGE_PX) * slope):
            quality *= EDGE_WORTH
        _insert(face, photo, quality, color, count, photos, qualities, candidate_colors)
