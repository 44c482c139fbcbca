"""Faces in no chart take their photo's colors and meet their neighbours'."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insaat_cli.engine.texture.cells import INNER_WEIGHTS
from insaat_cli.engine.texture.loose import LooseFaces
from insaat_cli.engine.texture.photo import Photo

VERTICES = np.array([[2.0, 2, 1], [12, 2, 1], [2, 12, 1], [12, 12, 1], [22, 12, 1]])
FACES = np.array([[0, 1, 2], [1, 3, 2], [1, 4, 3]], np.int32)


def _ramp(step: float) -> np.ndarray:
    """A photo that grows brighter by `step` from column to column."""
    row = 40 + step * np.arange(32)
    return np.repeat(np.repeat(row[None, :, None], 32, axis=0), 3, axis=2).astype(np.uint8)


def _loose(photo: list[int], pixels: np.ndarray) -> LooseFaces:
    loose = LooseFaces(VERTICES, FACES, np.array(photo, np.int32))
    camera = Photo(path=Path("n"), width=32, height=32, K=np.eye(3), cam_from_world=np.eye(3, 4))
    for index in sorted(set(photo) - {-1}):
        assert loose.wants(index)
        loose.look(index, camera, pixels)
    return loose


def test_the_photo_s_colors_at_every_texel_of_a_cell() -> None:
    found = _loose([0, 0, 0], _ramp(4.0)).colors(np.zeros(0, np.int32), np.zeros((0, 3)))
    x = np.einsum("tk,fk->ft", INNER_WEIGHTS, VERTICES[FACES][..., 0])
    np.testing.assert_allclose(found[..., 0], 40 + 4.0 * (x - 0.5), atol=1e-3)


def test_a_photo_of_half_the_size_is_looked_at_in_the_same_places() -> None:
    small = _ramp(4.0)[::2, ::2]
    found = _loose([0, 0, 0], small).colors(np.zeros(0, np.int32), np.zeros((0, 3)))
    x = np.einsum("tk,fk->ft", INNER_WEIGHTS, VERTICES[FACES][..., 0])
    np.testing.assert_allclose(found[..., 0], 40 + 8.0 * (x / 2 - 0.5), atol=1e-3)


def test_another_exposure_is_evened_out_and_the_detail_stays() -> None:
    known = np.array([0, 1, 2, 3, 4], np.int32)
    truth = 40 + 4.0 * (VERTICES[:, 0] - 0.5)
    brighter = np.repeat((truth + 12)[:, None], 3, axis=1)
    found = _loose([0, 0, 0], _ramp(4.0)).colors(known, brighter)
    x = np.einsum("tk,fk->ft", INNER_WEIGHTS, VERTICES[FACES][..., 0])
    # Nearly: a large step is believed a little less.
    np.testing.assert_allclose(found[..., 0], 52 + 4.0 * (x - 0.5), atol=0.5)


def test_an_outline_beside_a_face_does_not_tint_it() -> None:
    black = np.zeros((5, 3))
    found = _loose([0, 0, 0], 100 + _ramp(4.0)).colors(np.arange(5, dtype=np.int32), black)
    assert found.min() > 140


def test_what_no_photo_saw_continues_what_is_around() -> None:
    found = _loose([0, 0, -1], _ramp(0.0)).colors(np.array([4], np.int32), np.full((1, 3), 100.0))
    corners = found[2][np.argmax(INNER_WEIGHTS, axis=0), 0]
    np.testing.assert_allclose(corners, [40, 100, 40], atol=0.5)
