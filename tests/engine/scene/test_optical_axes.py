"""The subject of photos taken around it is found; a facade and a panorama have none."""

from __future__ import annotations

import numpy as np
import pytest

from insaat_cli.engine.scene.optical_axes import meeting_point, orbited

SUBJECT = np.array([0.3, 0.5, -0.2])


def ring(degrees: float, *, outwards: bool = False):
    """24 cameras at distance 4 around SUBJECT over an arc of `degrees`, looking at it."""
    angle = np.radians(np.linspace(0, degrees, 24, endpoint=False))
    offset = 4 * np.stack([np.sin(angle), np.full(24, 0.3), np.cos(angle)], axis=1)
    forward = offset if outwards else -offset
    return SUBJECT + offset, forward / np.linalg.norm(forward, axis=1, keepdims=True)


def test_orbit_has_its_subject_in_the_middle() -> None:
    focus = orbited(*ring(360))
    assert focus is not None
    np.testing.assert_allclose(focus.centre, SUBJECT, atol=1e-9)
    assert 1.5 < focus.radius < 2.5


@pytest.mark.parametrize("degrees", [60, 120])
def test_facade_is_not_cropped(degrees: float) -> None:
    assert orbited(*ring(degrees)) is None


def test_panorama_has_no_subject() -> None:
    assert orbited(*ring(360, outwards=True)) is None


def test_parallel_axes_meet_nowhere() -> None:
    centers = np.random.default_rng(0).normal(size=(10, 3))
    assert meeting_point(centers, np.tile([0.0, 0.0, 1.0], (10, 1))) is None
