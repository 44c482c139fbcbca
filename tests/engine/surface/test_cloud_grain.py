"""Spacing and thickness of clouds whose making is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from insaat_cli.engine.surface.cloud_grain import occupied_cells, typical_spacing, typical_thickness
from insaat_cli.stages.surface import FACES_A_CELL, SPARE_FACES, SurfaceOptions, cell_side

SPACING = 0.01


def sheet(noise: float, side: int = 150) -> np.ndarray:
    """A gently bent sheet of points in a square grid, off it by `noise` (standard deviation)."""
    rng = np.random.default_rng(5)
    x, y = (SPACING * axis.ravel() for axis in np.meshgrid(np.arange(side), np.arange(side)))
    z = 0.05 * np.sin(3 * x) + rng.normal(0, noise, len(x))
    return np.stack([x, y, z], axis=1).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.01])
def test_thickness_is_the_noise(noise: float) -> None:
    tree = cKDTree(sheet(noise))
    spacing = typical_spacing(tree, 1)
    assert spacing == pytest.approx(SPACING, rel=0.02 + 40 * noise)
    assert typical_thickness(tree, SPACING, 1) == pytest.approx(noise, rel=0.15, abs=2e-4)


def test_points_far_apart_have_no_thickness() -> None:
    points = 10.0 * np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    assert typical_thickness(cKDTree(points), 0.01, 1) == 0.0


def test_cells_are_counted_once() -> None:
    points = np.array([[0, 0, 0], [0.4, 0.4, 0.4], [1.2, 0, 0], [5, 5, 5]], np.float32)
    assert occupied_cells(points, 1.0) == 3


def test_cells_are_as_fine_as_points_lie_unless_noise_or_faces_forbid_it() -> None:
    options = SurfaceOptions()
    clean, thickness = cell_side(sheet(0.0005), options, 1)
    assert clean == pytest.approx(options.cell * SPACING, rel=0.05)
    assert thickness < 0.001
    noisy, thickness = cell_side(sheet(0.01), options, 1)
    assert noisy == pytest.approx(options.noise * thickness)
    assert noisy > 2 * clean
    few = SurfaceOptions(max_faces=1000)
    coarse, _ = cell_side(sheet(0.0005), few, 1)
    faces = FACES_A_CELL * occupied_cells(sheet(0.0005), coarse)
    assert faces == pytest.approx(SPARE_FACES * few.max_faces, rel=0.3)
