"""A z-buffer rasteriser on the CPU: which face each pixel of a pinhole camera sees, and how far.

Triangles are drawn in homogeneous coordinates (Olano and Greer, "Triangle Scan Conversion using
2D Homogeneous Coordinates", 1997): the edge functions come from cross products of the vertices in
camera space, so a triangle that reaches behind the camera needs no clipping, and barycentric
coordinates are perspective-correct as they stand. Edge functions of two faces that share an edge
are exact negatives of each other, so no pixel falls between them.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

BANDS_PER_THREAD = 4
NO_FACE = -1


@dataclass(frozen=True, kw_only=True)
class Raster:
    """What a pinhole camera sees of a mesh, one value a pixel."""

    depth: NDArray[np.float32]
    """(H, W) z in camera space, in the mesh's unit; inf where no face is."""
    face: NDArray[np.int32]
    """(H, W) index of the nearest face; -1 where no face is."""
    barycentric: NDArray[np.float32] | None
    """(H, W, 2) weights of the face's second and third vertex; the first has the rest."""


def rasterize(
    vertices_cam: NDArray[np.floating[Any]],
    faces: NDArray[np.int32],
    K: NDArray[np.floating[Any]],
    width: int,
    height: int,
    *,
    barycentric: bool = False,
    near: float = 1e-6,
    threads: int | None = None,
) -> Raster:
    """Draw a mesh into a z-buffer.

    `vertices_cam` is (V, 3) in opencv camera axes, `faces` (F, 3), `K` the (3, 3) intrinsics with
    pixel centres at +0.5 (COLMAP's convention). Both sides of a face are drawn; what lies nearer
    than `near` is not. `threads` is numba's number of threads unless given.
    """
    vertices = np.ascontiguousarray(vertices_cam, dtype=np.float64)
    triangles = np.ascontiguousarray(faces, dtype=np.int32)
    K64 = np.ascontiguousarray(K, dtype=np.float64)
    ray_of_pixel = np.ascontiguousarray(np.linalg.inv(K64))
    pixels = _vertex_pixels(vertices, K64, near)
    inverse_depth = np.zeros((height, width), dtype=np.float32)
    face = np.full((height, width), NO_FACE, dtype=np.int32)
    weights = np.zeros((height, width, 2) if barycentric else (0, 0, 2), dtype=np.float32)

    def draw(band: tuple[int, int]) -> None:
        first, end = band
        _draw_band(
            vertices, pixels, triangles, ray_of_pixel, K64, near, first, end, inverse_depth, face
        )
        if barycentric:
            _weigh_band(vertices, triangles, ray_of_pixel, first, end, face, weights)

    count = threads or numba.get_num_threads()
    bands = _bands(height, count)
    if count == 1:
        for band in bands:
            draw(band)
    else:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(draw, bands))
    with np.errstate(divide="ignore"):
        depth = np.divide(1.0, inverse_depth, out=inverse_depth)
    return Raster(depth=depth, face=face, barycentric=weights if barycentric else None)


def _bands(height: int, threads: int) -> list[tuple[int, int]]:
    """Row ranges drawn independently; several a thread, as the subject fills the middle rows."""
    count = 1 if threads == 1 else min(height, threads * BANDS_PER_THREAD)
    edges = np.linspace(0, height, count + 1).astype(int)
    return [(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def _vertex_pixels(
    vertices: NDArray[np.float64], K: NDArray[np.float64], near: float
) -> NDArray[np.float64]:
    """(V, 2) image position of every vertex, NaN for those nearer than `near`."""
    homogeneous = np.einsum("vk,jk->vj", vertices, K)
    depth = homogeneous[:, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(depth > near, homogeneous[:, :2] / depth, np.nan)


@numba.njit(cache=True, nogil=True)
def _edge_functions(a, b, c, ray_of_pixel, out):  # type: ignore[no-untyped-def]
    """Fill `out` (3, 3): row i gives the weight of corner i at pixel (x, y, 1), times det.

    Returns det, the triple product of the corners (zero if the face is seen edge-on).
    """
    for i in range(3):
        if i == 0:
            p, q = b, c
        elif i == 1:
            p, q = c, a
        else:
            p, q = a, b
        nx = p[1] * q[2] - p[2] * q[1]
        ny = p[2] * q[0] - p[0] * q[2]
        nz = p[0] * q[1] - p[1] * q[0]
        for k in range(3):
            out[i, k] = nx * ray_of_pixel[0, k] + ny * ray_of_pixel[1, k] + nz * ray_of_pixel[2, k]
        if i == 0:
            det = a[0] * nx + a[1] * ny + a[2] * nz
    return det


@numba.njit(cache=True, nogil=True)
def _clipped_bounds(corners, K, near, bounds):  # type: ignore[no-untyped-def]
    """Pixel bounds (x0, x1, y0, y1) of the part of a face beyond `near`; inf, -inf if none is."""
    bounds[0], bounds[1], bounds[2], bounds[3] = np.inf, -np.inf, np.inf, -np.inf
    for i in range(3):
        p = corners[i]
        q = corners[(i + 1) % 3]
        for end in range(2):
            if end == 0:
                if p[2] <= near:
                    continue
                share = 0.0
            else:
                if (p[2] <= near) == (q[2] <= near):
                    continue
                share = (near - p[2]) / (q[2] - p[2])
            x = p[0] + share * (q[0] - p[0])
            y = p[1] + share * (q[1] - p[1])
            z = max(p[2] + share * (q[2] - p[2]), near)
            u = (K[0, 0] * x + K[0, 1] * y) / z + K[0, 2]
            v = K[1, 1] * y / z + K[1, 2]
            bounds[0], bounds[1] = min(bounds[0], u), max(bounds[1], u)
            bounds[2], bounds[3] = min(bounds[2], v), max(bounds[3], v)


@numba.njit(cache=True, nogil=True)
def _hit_range(low, high, first, end):  # type: ignore[no-untyped-def]
    """Pixels of [first, end) whose centre, at +0.5, lies in [low, high]; empty for an inf bound.

    Compared as floats: the bounds of a face that passes beside the camera fit no integer.
    """
    lowest = max(float(first), np.ceil(low - 0.5))
    highest = min(end - 1.0, np.floor(high - 0.5))
    if not lowest <= highest:
        return 0, 0
    return int(lowest), int(highest) + 1


@numba.njit(cache=True, nogil=True)
def _pixel_bounds(pixels, i, j, k, bounds):  # type: ignore[no-untyped-def]
    """Pixel bounds of a face whose corners all have an image position; False if one has none."""
    bounds[0] = min(pixels[i, 0], pixels[j, 0], pixels[k, 0])
    bounds[1] = max(pixels[i, 0], pixels[j, 0], pixels[k, 0])
    bounds[2] = min(pixels[i, 1], pixels[j, 1], pixels[k, 1])
    bounds[3] = max(pixels[i, 1], pixels[j, 1], pixels[k, 1])
    return not (np.isnan(pixels[i, 1]) or np.isnan(pixels[j, 1]) or np.isnan(pixels[k, 1]))


@numba.njit(cache=True, nogil=True)
def _draw_band(  # type: ignore[no-untyped-def]
    vertices, pixels, faces, ray_of_pixel, K, near, first_row, end_row, inverse_depth, face_image
):
    """Draw the rows from `first_row` up to `end_row` of every face."""
    width = inverse_depth.shape[1]
    nearest = 1.0 / near
    edges = np.empty((3, 3))
    corners = np.empty((3, 3))
    bounds = np.empty(4)
    for index in range(faces.shape[0]):
        i, j, k = faces[index, 0], faces[index, 1], faces[index, 2]
        if not _pixel_bounds(pixels, i, j, k, bounds):
            for c in range(3):
                corners[0, c], corners[1, c] = vertices[i, c], vertices[j, c]
                corners[2, c] = vertices[k, c]
            _clipped_bounds(corners, K, near, bounds)
        first_x, end_x = _hit_range(bounds[0], bounds[1], 0, width)
        first_y, end_y = _hit_range(bounds[2], bounds[3], first_row, end_row)
        if first_x >= end_x or first_y >= end_y:
            continue
        det = _edge_functions(vertices[i], vertices[j], vertices[k], ray_of_pixel, edges)
        if det == 0.0:
            continue
        scale = 1.0 / abs(det)
        sign = 1.0 if det > 0.0 else -1.0
        for y in range(first_y, end_y):
            row_0 = sign * (edges[0, 1] * (y + 0.5) + edges[0, 2])
            row_1 = sign * (edges[1, 1] * (y + 0.5) + edges[1, 2])
            row_2 = sign * (edges[2, 1] * (y + 0.5) + edges[2, 2])
            for x in range(first_x, end_x):
                w0 = sign * edges[0, 0] * (x + 0.5) + row_0
                w1 = sign * edges[1, 0] * (x + 0.5) + row_1
                w2 = sign * edges[2, 0] * (x + 0.5) + row_2
                if w0 >= 0.0 and w1 >= 0.0 and w2 >= 0.0:
                    inverse = (w0 + w1 + w2) * scale
                    if inverse > inverse_depth[y, x] and inverse < nearest:
                        inverse_depth[y, x] = inverse
                        face_image[y, x] = index


@numba.njit(cache=True, nogil=True)
def _weigh_band(  # type: ignore[no-untyped-def]
    vertices, faces, ray_of_pixel, first_row, end_row, face_image, weights
):
    """Write the barycentric weights of every drawn pixel of some rows."""
    edges = np.empty((3, 3))
    for y in range(first_row, end_row):
        last = -1
        for x in range(face_image.shape[1]):
            index = face_image[y, x]
            if index < 0:
                continue
            if index != last:
                i, j, k = faces[index, 0], faces[index, 1], faces[index, 2]
                _edge_functions(vertices[i], vertices[j], vertices[k], ray_of_pixel, edges)
                last = index
            w0 = edges[0, 0] * (x + 0.5) + edges[0, 1] * (y + 0.5) + edges[0, 2]
            w1 = edges[1, 0] * (x + 0.5) + edges[1, 1] * (y + 0.5) + edges[1, 2]
            w2 = edges[2, 0] * (x + 0.5) + edges[2, 1] * (y + 0.5) + edges[2, 2]
            total = w0 + w1 + w2
            if total != 0.0:
                weights[y, x, 0] = w1 / total
                weights[y, x, 1] = w2 / total
