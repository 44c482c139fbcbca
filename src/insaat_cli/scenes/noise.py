"""Solid procedural noise: textures that are defined everywhere in space and never repeat.

Value noise on an integer lattice (K. Perlin, "An image synthesizer", 1985) with integer hashes
instead of tables, and cellular noise (S. Worley, "A cellular texture basis function", 1996).
"""

from __future__ import annotations

import numba
import numpy as np

LACUNARITY = 2.13
"""Frequency ratio of neighbouring octaves; not 2, so that their lattices never line up."""


@numba.njit(inline="always")
def lattice_value(x: int, y: int, z: int, seed: int) -> float:  # pragma: no cover - compiled
    """A pseudo-random number in [-1, 1) that belongs to a lattice point."""
    state = np.uint32(x) * np.uint32(0x8DA6B343)
    state ^= np.uint32(y) * np.uint32(0xD8163841)
    state ^= np.uint32(z) * np.uint32(0xCB1AB31F)
    state ^= np.uint32(seed) * np.uint32(0x9E3779B1)
    state = np.uint32((state ^ (state >> np.uint32(15))) * np.uint32(0x2C1B3C6D))
    state = np.uint32((state ^ (state >> np.uint32(12))) * np.uint32(0x297A2D39))
    state = np.uint32(state ^ (state >> np.uint32(15)))
    return float(state) * (2.0 / 4294967296.0) - 1.0


@numba.njit(nogil=True, cache=True)
def value_noise(x: float, y: float, z: float, seed: int) -> float:  # pragma: no cover - compiled
    """Smooth noise in [-1, 1] with features about one unit large."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    i, j, k = int(fx), int(fy), int(fz)
    u, v, w = x - fx, y - fy, z - fz
    u = u * u * (3.0 - 2.0 * u)
    v = v * v * (3.0 - 2.0 * v)
    w = w * w * (3.0 - 2.0 * w)
    total = 0.0
    for dk in range(2):
        wk = w if dk else 1.0 - w
        for dj in range(2):
            wj = wk * (v if dj else 1.0 - v)
            near = lattice_value(i, j + dj, k + dk, seed)
            far = lattice_value(i + 1, j + dj, k + dk, seed)
            total += wj * (near + u * (far - near))
    return total


@numba.njit(nogil=True, cache=True)
def octave_noise(
    x: float,
    y: float,
    z: float,
    frequency: float,
    octaves: int,
    gain: float,
    footprint: float,
    seed: int,
) -> float:  # pragma: no cover - compiled
    """Sum of octaves from `frequency` up, each `gain` times as strong as the one before.

    `footprint` is the size of a pixel in space: octaves that it cannot show fade out before they
    alias, so that the same texture is sharp from near and calm from afar.
    """
    total = 0.0
    amplitude = 1.0
    for octave in range(octaves):
        visible = 1.5 - 3.0 * footprint * frequency
        if visible <= 0.0:
            break
        share = amplitude if visible >= 1.0 else amplitude * visible
        total += share * value_noise(x * frequency, y * frequency, z * frequency, seed + octave)
        frequency *= LACUNARITY
        amplitude *= gain
    return total


@numba.njit(nogil=True, cache=True)
def cells(x: float, y: float, seed: int) -> tuple[float, float]:  # pragma: no cover - compiled
    """Worley cells in the plane: (distance to the joint between two cells, color of the cell).

    The first is in units of the cell size, the second in [-1, 1).
    """
    i, j = int(np.floor(x)), int(np.floor(y))
    nearest, second, color = 9.0, 9.0, 0.0
    for dj in range(-1, 2):
        for di in range(-1, 2):
            px = i + di + 0.5 + 0.42 * lattice_value(i + di, j + dj, 0, seed)
            py = j + dj + 0.5 + 0.42 * lattice_value(i + di, j + dj, 1, seed)
            distance = np.sqrt((px - x) ** 2 + (py - y) ** 2)
            if distance < nearest:
                second = nearest
                nearest = distance
                color = lattice_value(i + di, j + dj, 2, seed)
            elif distance < second:
                second = distance
    return second - nearest, color
