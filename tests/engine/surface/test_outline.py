"""Fringes with the color of the background are told from the subject."""

from __future__ import annotations

import numpy as np

from insaat_cli.engine.surface.outline import REACH_PX, background_pixels

SKY, ROOF = (170, 200, 240), (60, 60, 70)
FRINGE = 4


def scene(subject=ROOF, background=SKY) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo of a square before a background, a mesh `FRINGE` wider, and the fringe."""
    noise = np.random.default_rng(1).integers(-4, 5, (100, 120, 3))
    body = np.zeros((100, 120), bool)
    body[30:80, 30:90] = True
    mesh = np.zeros_like(body)
    mesh[30 - FRINGE : 80 + FRINGE, 30 - FRINGE : 90 + FRINGE] = True
    rgb = np.where(body[..., None], subject, background) + noise
    return rgb.astype(np.uint8), mesh, mesh & ~body


def test_the_fringe_before_the_sky_is_found_and_nothing_else() -> None:
    rgb, mesh, fringe = scene()
    assert (background_pixels(rgb, mesh) == fringe).all()


def test_nothing_is_said_where_subject_and_background_are_alike() -> None:
    rgb, mesh, _ = scene(subject=(160, 190, 225))
    assert not background_pixels(rgb, mesh).any()


def test_a_hole_in_the_mesh_is_not_background() -> None:
    rgb, mesh, _ = scene(background=ROOF)
    rgb[45:55, 50:60] = SKY  # a bright window that the mesh has only half of
    mesh[45:55, 50:55] = False
    assert not background_pixels(rgb, mesh).any()


def test_far_from_the_outline_nothing_is_said() -> None:
    rgb, mesh, _ = scene()
    rgb[50:60, 55:65] = SKY  # a pond amid the roof
    found = background_pixels(rgb, mesh)
    deep = 30 - FRINGE + 2 * REACH_PX
    assert not found[deep : 100 - deep, deep : 120 - deep].any()


def test_a_wall_that_goes_on_unmeasured_is_no_background() -> None:
    rgb, mesh, fringe = scene()
    assert not background_pixels(rgb, mesh, np.zeros_like(mesh)).any()
    assert (background_pixels(rgb, mesh, ~mesh) == fringe).all()
