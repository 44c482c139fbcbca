"""A background that stands still is told from a scene that was photographed by hand."""

from __future__ import annotations

import cv2
import numpy as np

from insaat_cli.engine.sfm.still_background import find_still_groups

HEIGHT, WIDTH, RADIUS = 180, 240, 40


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(2 * HEIGHT, 2 * WIDTH))
    layers = [cv2.GaussianBlur(noise, (0, 0), s) * s for s in (1.2, 2.5, 5)]
    total = np.sum(layers, axis=0)
    return np.clip(128 + 45 * total / total.std(), 0, 255).astype(np.float32)


def on_turntable(turn_deg: float, shift: int = 0, gain: float = 1.0) -> np.ndarray:
    """A round thing that turns in the middle, before a wall; `shift` moves the camera."""
    picture = texture(1)[60 : 60 + HEIGHT, 60 + shift : 60 + shift + WIDTH].copy()
    centre = (WIDTH / 2, HEIGHT / 2)
    turned = cv2.warpAffine(
        texture(2), cv2.getRotationMatrix2D(centre, turn_deg, 1.0), (WIDTH, HEIGHT)
    )
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    disc = np.hypot(x - centre[0], y - centre[1]) < RADIUS
    picture[disc] = turned[disc]
    noise = np.random.default_rng(int(turn_deg) + shift).normal(0, 1.6, picture.shape)
    return np.clip(gain * picture + noise, 0, 255).astype(np.uint8)


def test_what_turns_is_kept_and_what_stands_still_is_not() -> None:
    """With an exposure that is not the same in all photos."""
    gains = (1.0, 0.95, 1.08, 1.0, 0.93, 1.04)
    (group,) = find_still_groups([on_turntable(30 * k, gain=g) for k, g in enumerate(gains)])
    assert group.photos == tuple(range(6))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    away = np.hypot(x - WIDTH / 2, y - HEIGHT / 2)
    assert group.kept[away < RADIUS].all()
    assert not group.kept[away > 1.4 * RADIUS].any()


def test_two_heights_of_the_tripod_are_two_groups() -> None:
    photos = [on_turntable(30 * k, shift=0 if k < 5 else 23) for k in range(10)]
    assert [group.photos for group in find_still_groups(photos)] == [
        (0, 1, 2, 3, 4),
        (5, 6, 7, 8, 9),
    ]


def test_photos_taken_by_hand_have_no_still_background() -> None:
    assert find_still_groups([on_turntable(20 * k, shift=5 * k) for k in range(8)]) == []


def test_copies_of_one_photo_and_blank_ones_have_none() -> None:
    assert find_still_groups([on_turntable(0.0, gain=1 + 0.01 * k) for k in range(6)]) == []
    assert find_still_groups([np.full((HEIGHT, WIDTH), 90, np.uint8)] * 6) == []


def test_pictures_of_several_sizes_do_not_meet() -> None:
    photos = [on_turntable(30 * k) for k in range(5)]
    assert len(find_still_groups([*photos, *(photo.T.copy() for photo in photos)])) == 2
