"""The paint brush: from what each pixel sees to its color, in one compiled pass.

Geometry is sampled 2 x 2 a pixel. Where the four samples see the same smooth surface, paint and
light are computed once in their middle; elsewhere (outlines, creases) for each of them.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from insaat_cli.scenes.noise import cells, octave_noise, value_noise

SKY_TOP = (0.50, 0.64, 0.82)
SKY_LOW = (0.80, 0.86, 0.92)
JOINT = (0.24, 0.23, 0.21)
GROUND_CELL = 0.085
"""Size of the cobbles."""


@numba.njit(nogil=True, cache=True)
def _paint_subject(x, y, z, tint, footprint, contrast, seed, out):  # type: ignore[no-untyped-def]
    """Tint, warped stripes and speckles of all sizes."""
    warp = octave_noise(x, y, z, 5.0, 3, 0.5, 0.0, seed)
    band = math.sin(52.0 * (z + 0.35 * x + 0.13 * warp) + 6.0 * y)
    band = 1.0 / (1.0 + math.exp(-5.0 * (band - 0.15)))
    dark = 1.0 - 0.62 * tint[3] * band * min(1.0, 0.5 + 0.5 * contrast)
    rough = octave_noise(x, y, z, 11.0, 9, 0.86, footprint, seed + 20)
    spots = value_noise(70.0 * x, 70.0 * y, 70.0 * z, seed + 40)
    spots = max(0.0, spots - 0.42) * max(0.0, 1.5 - 210.0 * footprint)
    shade = dark * (1.0 + contrast * (0.33 * rough - 0.55 * spots))
    hue = 0.05 * contrast * octave_noise(x, y, z, 23.0, 2, 0.7, footprint, seed + 60)
    out[0] = tint[0] * (shade + hue)
    out[1] = tint[1] * shade
    out[2] = tint[2] * (shade - hue)


@numba.njit(nogil=True, cache=True)
def _paint_ground(x, y, footprint, contrast, seed, out):  # type: ignore[no-untyped-def]
    """Cobbles of many colors in dark joints, worn and stained."""
    bend = 0.25 * value_noise(7.0 * x, 7.0 * y, 0.0, seed + 80)
    near = max(0.0, min(1.0, 1.5 - 2.5 * footprint / GROUND_CELL))
    joint, color = 1.0, 0.0
    if near > 0.0:
        joint, color = cells(x / GROUND_CELL + bend, y / GROUND_CELL - bend, seed + 81)
    edge = 0.12 + 0.5 * footprint / GROUND_CELL
    stone = min(1.0, max(0.0, (joint - 0.05) / edge))
    stone = near * stone + (1.0 - near) * 0.8
    rough = octave_noise(x, y, 0.3, 1.7, 11, 0.85, footprint, seed + 100)
    shade = 1.0 + contrast * (0.22 * rough + 0.24 * near * color)
    warm = 0.10 * contrast * (near * color + value_noise(1.3 * x, 1.3 * y, 5.0, seed + 120))
    for c in range(3):
        hue = (0.50, 0.48, 0.45)[c] * (shade + (1 - c) * warm)
        out[c] = stone * hue + (1.0 - stone) * JOINT[c] * (1.0 + 0.3 * contrast * rough)


@numba.njit(nogil=True, cache=True)
def _ground_light(x, y, light, half_width):  # type: ignore[no-untyped-def]
    size = light.shape[0]
    u = (x / half_width * 0.5 + 0.5) * (size - 1)
    v = (y / half_width * 0.5 + 0.5) * (size - 1)
    u = min(max(u, 0.0), size - 1.001)
    v = min(max(v, 0.0), size - 1.001)
    i, j = int(u), int(v)
    u -= i
    v -= j
    upper = light[j, i] * (1 - u) + light[j, i + 1] * u
    lower = light[j + 1, i] * (1 - u) + light[j + 1, i + 1] * u
    return upper * (1 - v) + lower * v


@numba.njit(nogil=True, cache=True)
def _sky(up, out):  # type: ignore[no-untyped-def]
    share = min(1.0, max(0.0, up) * 1.8)
    for c in range(3):
        out[c] = SKY_LOW[c] + share * (SKY_TOP[c] - SKY_LOW[c])


@numba.njit(nogil=True, cache=True)
def _sample(  # type: ignore[no-untyped-def]
    u, v, depth, face, weights, faces, paint, light, rays, centre, focal, ground, ground_half,
    scale, contrast, seed, work, out,
):  # fmt: skip
    """Color of what is seen at the fine pixel (u, v), of size `scale` of a pixel."""
    dx = rays[0, 0] * u + rays[0, 1] * v + rays[0, 2]
    dy = rays[1, 0] * u + rays[1, 1] * v + rays[1, 2]
    dz = rays[2, 0] * u + rays[2, 1] * v + rays[2, 2]
    way = -centre[2] / dz if dz < -1e-6 else 1e9
    if face >= 0 and depth < way:
        x, y, z = centre[0] + depth * dx, centre[1] + depth * dy, centre[2] + depth * dz
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        wa, wb, wc = 1.0 - weights[0] - weights[1], weights[0], weights[1]
        for k in range(4):
            work[k] = wa * paint[a, k] + wb * paint[b, k] + wc * paint[c, k]
        _paint_subject(x, y, z, work, scale * depth / focal, contrast, seed, out)
        bright = wa * light[a] + wb * light[b] + wc * light[c]
        for k in range(3):
            out[k] *= bright
        return
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    _sky(dz / length, work)
    if way >= 60.0:
        for k in range(3):
            out[k] = work[k]
        return
    x, y = centre[0] + way * dx, centre[1] + way * dy
    slant = math.sqrt(length / max(-dz, 1e-3))
    _paint_ground(x, y, slant * scale * way / focal, contrast, seed, out)
    bright = _ground_light(x, y, ground, ground_half)
    haze = 1.0 - math.exp(-((way / 14.0) ** 2))
    for k in range(3):
        out[k] = out[k] * bright * (1.0 - haze) + work[k] * haze


@numba.njit(nogil=True, cache=True)
def shade(  # type: ignore[no-untyped-def]
    depth, face, weights, faces, paint, light, rays, centre, focal, ground, ground_half, contrast,
    seed,
):  # fmt: skip
    """Colors (H/2, W/2, 3), 0 to 1, of a raster (H, W) of twice the size.

    `rays` (3, 3) takes a fine pixel (u, v, 1) to a direction of the world with camera depth 1;
    `focal` is in fine pixels.
    """
    rows, columns = depth.shape[0] // 2, depth.shape[1] // 2
    image = np.empty((rows, columns, 3), dtype=np.float32)
    work, color = np.empty(4), np.empty(3)
    for row in range(rows):
        for column in range(columns):
            y, x = 2 * row, 2 * column
            nearest = min(depth[y, x], depth[y, x + 1], depth[y + 1, x], depth[y + 1, x + 1])
            furthest = max(depth[y, x], depth[y, x + 1], depth[y + 1, x], depth[y + 1, x + 1])
            if nearest == furthest or furthest - nearest < 0.004 * nearest:
                mean = (depth[y, x] + depth[y + 1, x + 1] + depth[y, x + 1] + depth[y + 1, x]) / 4
                _sample(
                    x + 1.0, y + 1.0, mean, face[y, x], weights[y, x], faces, paint, light, rays,
                    centre, focal, ground, ground_half, 2.0, contrast, seed, work, color,
                )  # fmt: skip
                image[row, column, 0] = color[0]
                image[row, column, 1] = color[1]
                image[row, column, 2] = color[2]
                continue
            image[row, column] = 0.0
            for j in range(2):
                for i in range(2):
                    _sample(
                        x + i + 0.5, y + j + 0.5, depth[y + j, x + i], face[y + j, x + i],
                        weights[y + j, x + i], faces, paint, light, rays, centre, focal, ground,
                        ground_half, 1.5, contrast, seed, work, color,
                    )  # fmt: skip
                    for k in range(3):
                        image[row, column, k] += 0.25 * color[k]
    return image
