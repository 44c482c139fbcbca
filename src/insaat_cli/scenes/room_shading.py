"""The paint brush of the room: planks, wood, cloth, books, pictures, and what is outside."""

from __future__ import annotations

import math

import numba
import numpy as np

from insaat_cli.scenes.noise import lattice_value, octave_noise, value_noise

PLANK_WIDTH = 0.14
PLANK_LENGTH = 1.35
PLAIN_RELIEF = 0.006
"""How much the brightness of plaster varies: less than the sensor's noise."""


@numba.njit(nogil=True, cache=True)
def _grain(u, v, w, footprint, seed):  # type: ignore[no-untyped-def]
    """Fibres along u: fine lines and a few broad rings."""
    fine = octave_noise(2.0 * u, 60.0 * v, 60.0 * w, 1.0, 6, 0.75, 50.0 * footprint, seed)
    bend = v + 0.03 * value_noise(1.7 * u, 5.0 * v, 5.0 * w, seed + 9)
    rings = math.sin(90.0 * bend + 3.0 * w) * max(0.0, 1.0 - 40.0 * footprint)
    return 0.7 * fine + 0.3 * rings


@numba.njit(nogil=True, cache=True)
def _planks(x, y, footprint, contrast, seed, out):  # type: ignore[no-untyped-def]
    row = math.floor(y / PLANK_WIDTH)
    shift = PLANK_LENGTH * lattice_value(row, 0, 0, seed + 1)
    number = math.floor((x + shift) / PLANK_LENGTH)
    tone = lattice_value(row, number, 0, seed + 2)
    across = y - row * PLANK_WIDTH
    along = x + shift - number * PLANK_LENGTH
    grain = _grain(x + 3.1 * tone, across + 7.7 * tone, 0.7 * number, footprint, seed + 3)
    edge = min(across, PLANK_WIDTH - across, along, PLANK_LENGTH - along)
    width = 0.0015 + footprint
    joint = max(0.0, 1.0 - edge / width) * min(1.0, 0.003 / width)
    shade = (1.0 + contrast * (0.16 * tone + 0.17 * grain)) * (1.0 - 0.7 * joint)
    out[0] *= shade
    out[1] *= shade * (1.0 - 0.03 * contrast * tone)
    out[2] *= shade * (1.0 - 0.07 * contrast * tone)


@numba.njit(nogil=True, cache=True)
def _fabric(x, y, z, footprint, contrast, seed, out):  # type: ignore[no-untyped-def]
    weave = octave_noise(x, y, z, 120.0, 4, 0.9, footprint, seed)
    folds = octave_noise(x, y, z, 3.0, 4, 0.6, footprint, seed + 11)
    shade = 1.0 + contrast * (0.10 * weave + 0.09 * folds)
    for k in range(3):
        out[k] *= shade


@numba.njit(nogil=True, cache=True)
def _book(u, v, w, footprint, contrast, seed, out):  # type: ignore[no-untyped-def]
    """Bands and something like letters down the spine."""
    band = math.sin(31.0 * u)
    letters = octave_noise(u, v, w, 95.0, 3, 0.9, footprint, seed + 5)
    title = 1.0 if band > 0.45 and letters > 0.12 else 0.0
    stripe = 1.0 if band < -0.93 else 0.0
    worn = octave_noise(u, v, w, 17.0, 5, 0.8, footprint, seed + 8)
    shade = 1.0 + 0.14 * contrast * worn - 0.35 * contrast * stripe
    gilt = 0.55 * contrast * title * max(0.0, 1.0 - 150.0 * footprint)
    for k in range(3):
        out[k] = out[k] * shade * (1.0 - gilt) + gilt * (0.85, 0.76, 0.52)[k]


@numba.njit(nogil=True, cache=True)
def _picture(u, v, footprint, contrast, seed, out):  # type: ignore[no-untyped-def]
    """A painting of hills, with brush strokes; no two are alike, as u and v differ."""
    broad = octave_noise(u, v, 0.0, 2.6, 4, 0.6, footprint, seed)
    strokes = octave_noise(u, 2.0 * v, 1.0, 22.0, 6, 0.85, 2.0 * footprint, seed + 3)
    warm = value_noise(3.0 * u, 3.0 * v, 2.0, seed + 6)
    height = broad + 0.5 * value_noise(1.1 * u, 0.3, 3.0, seed + 7)
    if height > 0.25:
        red, green, blue = 0.30, 0.44, 0.62
    elif height > 0.0:
        red, green, blue = 0.78, 0.62, 0.36
    elif height > -0.3:
        red, green, blue = 0.33, 0.45, 0.26
    else:
        red, green, blue = 0.52, 0.24, 0.19
    shade = 1.0 + contrast * (0.28 * strokes + 0.18 * warm)
    out[0], out[1], out[2] = red * shade, green * shade, blue * (shade - 0.15 * warm)


@numba.njit(nogil=True, cache=True)
def _outside(x, y, z, seed, out):  # type: ignore[no-untyped-def]
    """Sky over trees and a lawn, far away and brighter than the room: overexposed, nearly."""
    azimuth = math.atan2(x, y)
    ridge = 0.06 + 0.08 * octave_noise(azimuth, 0.0, 0.0, 5.0, 4, 0.6, 0.0, seed)
    if z > ridge:
        glow = 2.6 - 0.9 * min(1.0, z)
        out[0], out[1], out[2] = 0.93 * glow, 0.97 * glow, 1.04 * glow
        return
    leaves = octave_noise(azimuth, z, 0.0, 14.0, 5, 0.8, 0.002, seed + 4)
    shade = 1.1 * (1.0 + 0.35 * leaves)
    if z < -0.12:
        out[0], out[1], out[2] = 0.55 * shade, 0.72 * shade, 0.33 * shade
    else:
        out[0], out[1], out[2] = 0.36 * shade, 0.50 * shade, 0.26 * shade


@numba.njit(nogil=True, cache=True)
def _material(x, y, z, u, v, w, kind, footprint, contrast, seed, out):  # type: ignore[no-untyped-def]
    """Multiply the tint in `out` by what the material adds."""
    if kind == 1:
        _planks(x, y, footprint, contrast, seed + 10, out)
    elif kind == 4:
        _fabric(u, v, w, footprint, contrast, seed + 30, out)
    elif kind == 5:
        _book(u, v, w, footprint, contrast, seed + 50, out)
    elif kind == 6:
        _picture(u, v, footprint, contrast, seed + 70, out)
    elif kind == 2 or kind == 3:
        strength = 0.17 if kind == 2 else 0.05
        shade = 1.0 + strength * contrast * _grain(u, v, w, footprint, seed + 90)
        for k in range(3):
            out[k] *= shade
    else:
        shade = 1.0 + PLAIN_RELIEF * contrast * octave_noise(x, y, z, 2.0, 3, 0.5, footprint, seed)
        for k in range(3):
            out[k] *= shade


@numba.njit(nogil=True, cache=True)
def _sample(  # type: ignore[no-untyped-def]
    u, v, depth, face, weights, faces, paint, local, light, rays, centre, footprint, contrast,
    seed, work, out,
):  # fmt: skip
    dx = rays[0, 0] * u + rays[0, 1] * v + rays[0, 2]
    dy = rays[1, 0] * u + rays[1, 1] * v + rays[1, 2]
    dz = rays[2, 0] * u + rays[2, 1] * v + rays[2, 2]
    if face < 0:
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        _outside(dx / length, dy / length, dz / length, seed + 200, out)
        return
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    wb, wc = weights[0], weights[1]
    wa = 1.0 - wb - wc
    for k in range(3):
        out[k] = paint[a, k]
        work[k] = wa * local[a, k] + wb * local[b, k] + wc * local[c, k]
    _material(
        centre[0] + depth * dx, centre[1] + depth * dy, centre[2] + depth * dz,
        work[0], work[1], work[2], int(paint[a, 3] + 0.5), footprint * depth, contrast, seed, out,
    )  # fmt: skip
    bright = wa * light[a] + wb * light[b] + wc * light[c]
    for k in range(3):
        out[k] *= bright


@numba.njit(nogil=True, cache=True)
def paint_room(  # type: ignore[no-untyped-def]
    depth, face, weights, faces, paint, local, light, normals, rays, centre, focal, contrast, seed,
):  # fmt: skip
    """Colors (H/2, W/2, 3), not yet exposed, of a raster (H, W) of twice the size.

    `rays` and `focal` as `shading.shade` takes them.
    """
    rows, columns = depth.shape[0] // 2, depth.shape[1] // 2
    image = np.zeros((rows, columns, 3), dtype=np.float32)
    work, color = np.empty(3), np.empty(3)
    for row in range(rows):
        for column in range(columns):
            y, x = 2 * row, 2 * column
            first = face[y, x]
            plain = first >= 0
            for n in range(1, 4):
                other = face[y + n // 2, x + n % 2]
                if other != first:
                    same = (
                        plain
                        and other >= 0
                        and paint[faces[other, 0], 3] == paint[faces[first, 0], 3]
                    )
                    for k in range(3):
                        if same and normals[faces[other, 0], k] != normals[faces[first, 0], k]:
                            same = False
                    gap = abs(depth[y + n // 2, x + n % 2] - depth[y, x]) if same else 1.0
                    plain = same and gap < 0.004 * depth[y, x]
            # One sample in the middle of a flat surface, four on edges and outside.
            samples = 1 if plain else 4
            for n in range(samples):
                j, i = n // 2, n % 2
                shift = 1.0 if plain else 0.5
                mean = depth[y + j, x + i]
                if plain:
                    mean = 0.5 * (depth[y, x] + depth[y + 1, x + 1])
                _sample(
                    x + i + shift, y + j + shift, mean, face[y + j, x + i], weights[y + j, x + i],
                    faces, paint, local, light, rays, centre, (2.0 if plain else 1.5) / focal,
                    contrast, seed, work, color,
                )  # fmt: skip
                for k in range(3):
                    image[row, column, k] += color[k] / samples
    return image
