"""What stands still while a subject turns before a camera on a tripod.

To structure from motion a background that never moves says that the camera never did, against all
that the subject says. Photos of a tripod lie on top of one another, pixel for pixel, but where
something turned; photos taken by hand never do. So texture is compared in place, without matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from insaat_cli.engine.working_images import write_mask

Floats = npt.NDArray[np.float32]
Kept = npt.NDArray[np.bool_]

SIDE = 320
"""Longest side in pixels of the pictures that are compared."""
WINDOW_PX = 7
"""Of the correlation, and of the detail that is left after a local mean is taken away."""
TEXTURE_LEVELS = 5.0
"""Standard deviation of the detail, in levels of 255, of what counts as texture."""
SAME_CORRELATION = 0.8
REACH = 3
"""Photos are compared with so many that follow: a tripod's stand in a row."""
STILL_PAIR_SHARE = 0.3
"""Share of the texture that stands still between two photos of one tripod, at least."""
STILL_PHOTOS_SHARE = 0.85
"""Texture that looks alike in so many photos of a group stands still."""
BACKGROUND_MIN_SHARE = 0.2
"""Of a group's texture, for there to be a background at all."""
MOVING_MIN_SHARE = 0.03
"""Of the picture; where nothing moves, the photos are copies."""
MIN_GROUP = 4
CHANGE_LEVELS = 6.0
"""Standard deviation from photo to photo, in levels, of what moves."""
MARGIN_SHARE = 0.02
"""How far around what moves is kept, as a share of the longest side."""
MIN_PART_SHARE = 0.005
"""Of the picture; smaller parts that move are leaves or noise."""


@dataclass(frozen=True, kw_only=True)
class StillGroup:
    """Photos that one tripod took."""

    photos: tuple[int, ...]
    """Their positions."""
    kept: Kept
    """(h, w) of the small pictures: True where the subject may be."""


def small_picture(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A photo as `find_still_groups` takes it."""
    factor = min(1.0, SIDE / max(gray.shape))
    size = (max(1, round(gray.shape[1] * factor)), max(1, round(gray.shape[0] * factor)))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def find_still_groups(pictures: Sequence[npt.NDArray[np.uint8]]) -> list[StillGroup]:
    """Groups of photos (small and gray, in the order in which they were taken) between which the
    background stands still while something moves; empty for photos taken by hand."""
    details = [_detail(picture) for picture in pictures]
    found = []
    for group in _groups(pictures, details):
        if len(group) >= MIN_GROUP:
            kept = _what_moves([pictures[k] for k in group], [details[k] for k in group])
            if kept is not None:
                found.append(StillGroup(photos=tuple(group), kept=kept))
    return found


def mask_still_background(
    folder: Path, names: Sequence[str], order: Sequence[int]
) -> list[tuple[str, ...]]:
    """Write masks for those photos `names` of a working folder whose background stands still.

    `order` holds their positions in the order in which they were taken. Returns the groups.
    """
    pictures = [_read(folder / names[k]) for k in order]
    groups = []
    for group in find_still_groups(pictures):
        members = tuple(names[order[k]] for k in group.photos)
        for name in members:
            with Image.open(folder / name) as photo:
                size = photo.size
            kept = cv2.resize(group.kept.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
            write_mask(folder / name, np.asarray(kept > 0.5))
        groups.append(members)
    return groups


def _read(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as photo:
        photo.draft("L", (SIDE, SIDE))  # decoded at a half, a quarter or an eighth
        return small_picture(np.asarray(photo.convert("L"), np.uint8))


def _detail(picture: npt.NDArray[np.uint8]) -> Floats:
    """(h, w, 2): a picture without its local mean, divided by its local contrast; that contrast."""
    values = picture.astype(np.float32)
    window = (WINDOW_PX, WINDOW_PX)
    detail = values - cv2.blur(values, window)
    contrast = np.sqrt(np.maximum(cv2.blur(detail * detail, window), 0.0))
    return np.stack([detail / np.maximum(contrast, 1.0), contrast], axis=-1)


def _still(first: Floats, second: Floats) -> tuple[Kept, Kept]:
    """Where two photos show the same texture in the same place, and where either shows texture."""
    textured = (first[..., 1] > TEXTURE_LEVELS) | (second[..., 1] > TEXTURE_LEVELS)
    alike = cv2.blur(first[..., 0] * second[..., 0], (WINDOW_PX, WINDOW_PX))
    return np.asarray((alike > SAME_CORRELATION) & textured), np.asarray(textured)


def _groups(
    pictures: Sequence[npt.NDArray[np.uint8]], details: Sequence[Floats]
) -> list[list[int]]:
    """Photos of one tripod, joined by pairs that are near in order."""
    group_of = list(range(len(pictures)))
    for i in range(len(pictures)):
        for j in range(i + 1, min(i + 1 + REACH, len(pictures))):
            if pictures[i].shape != pictures[j].shape or group_of[i] == group_of[j]:
                continue
            still, textured = _still(details[i], details[j])
            if still.sum() >= STILL_PAIR_SHARE * max(int(textured.sum()), 1):
                old, new = group_of[j], group_of[i]
                group_of = [new if group == old else group for group in group_of]
    return [[k for k, g in enumerate(group_of) if g == group] for group in sorted(set(group_of))]


def _what_moves(
    pictures: Sequence[npt.NDArray[np.uint8]], details: Sequence[Floats]
) -> Kept | None:
    """(h, w) True where something moves, filled and with a margin; None where no background
    stands still throughout, or nothing moves."""
    plate = np.stack([np.median([d[..., k] for d in details], axis=0) for k in (0, 1)], axis=-1)
    still_in = np.zeros(pictures[0].shape, np.float32)
    textured_in = np.zeros(pictures[0].shape, np.float32)
    for detail in details:
        still, _ = _still(detail, plate)
        still_in += still
        textured_in += detail[..., 1] > TEXTURE_LEVELS
    textured = textured_in >= 0.5 * len(details)
    background = textured & (still_in >= STILL_PHOTOS_SHARE * len(details))
    if background.sum() < BACKGROUND_MIN_SHARE * max(int(textured.sum()), 1):
        return None
    levels = np.stack(pictures).astype(np.float32)
    # Exposure differs from photo to photo; the background says by how much.
    usual = np.maximum(np.median(levels, axis=0), 1.0)
    gains = np.array([np.median(one[background] / usual[background]) for one in levels])
    levels /= np.maximum(gains, 0.1)[:, None, None]
    kept = _filled(np.asarray((levels.std(axis=0) > CHANGE_LEVELS) & ~background))
    return kept if kept.sum() >= MOVING_MIN_SHARE * kept.size and not kept.all() else None


def _filled(moving: Kept) -> Kept:
    """`moving` without specks, with what it surrounds, and a margin."""
    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = cv2.morphologyEx(moving.astype(np.uint8), cv2.MORPH_OPEN, round_)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, round_, iterations=3)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    least = MIN_PART_SHARE * mask.size
    parts = [contour for contour in contours if cv2.contourArea(contour) >= least]
    mask = cv2.drawContours(np.zeros_like(mask), parts, -1, 1, cv2.FILLED)
    margin = max(1, round(MARGIN_SHARE * max(mask.shape)))
    grow = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return np.asarray(cv2.dilate(mask, grow) > 0)
