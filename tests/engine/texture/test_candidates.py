"""Which photo sees which face, and how well."""

from __future__ import annotations

import cv2
import numpy as np

from insaat_cli.engine.texture.candidates import Candidates, find_candidates

from .conftest import TakePhoto, painted, square_grid


def _find(vertices, faces, photos) -> Candidates:  # type: ignore[no-untyped-def]
    return find_candidates(vertices, faces, photos, threads=2, progress=lambda share: None)


def test_faces_behind_others_or_turned_away_are_not_seen(cube, take_photo: TakePhoto) -> None:  # type: ignore[no-untyped-def]
    vertices, faces = cube
    screen, screen_faces = square_grid(16, half=0.4)
    both = np.concatenate([vertices, np.add(screen, [0, 0, 2.0])])
    both_faces = np.concatenate([faces, screen_faces + len(vertices)])
    photo = take_photo(painted(both, both_faces, 1), [0.0, 0, 6])
    found = _find(both, both_faces, [photo])

    middle = both[both_faces].mean(axis=1)
    on_cube = np.arange(len(both_faces)) < len(faces)
    front = on_cube & (middle[:, 2] > 0.999)
    # The screen at z = 2 hides of the side at z = 1, seen from z = 6, what lies within 0.4 * 5 / 4.
    reach = np.abs(middle[:, :2]).max(axis=1)
    assert np.all(found.count[front & (reach < 0.42)] == 0)
    assert np.all(found.count[front & (reach > 0.6) & (reach < 0.95)] == 1)
    assert np.all(found.count[on_cube & ~front] == 0)
    assert found.count[~on_cube].mean() > 0.99


def test_the_frontal_the_near_and_the_sharp_photo_win(take_photo: TakePhoto) -> None:
    vertices, faces = square_grid(20)
    mesh = painted(vertices, faces, 2)
    frontal = take_photo(mesh, [0.0, 0, 3.4])
    oblique = take_photo(mesh, [3.0, 0, 1.8])
    far = take_photo(mesh, [0.0, 0, 7])
    blurred = take_photo(mesh, [0.0, 0, 3.4], change=lambda p: cv2.GaussianBlur(p, (0, 0), 6))
    found = _find(vertices, faces, [oblique, far, frontal, blurred])

    everywhere = found.count == 4
    assert everywhere.mean() > 0.9
    best = found.photo[everywhere, np.argmax(found.quality[everywhere], axis=1)]
    assert (best == 2).mean() > 0.95


def test_only_the_best_are_kept_in_the_order_of_the_photos(take_photo: TakePhoto) -> None:
    vertices, faces = square_grid(6)
    mesh = painted(vertices, faces, 3)
    near, far = take_photo(mesh, [0.0, 0, 4]), take_photo(mesh, [0.0, 0, 9])
    found = _find(vertices, faces, [far] * 5 + [near] + [far] * 10 + [near] * 8)

    assert np.all(found.count == found.photo.shape[1])
    assert np.all(np.diff(found.photo, axis=1) > 0)
    near_indices = {5, *range(16, 24)}
    assert all(near_indices <= set(row) for row in found.photo.tolist())


def test_a_face_at_an_outline_is_worth_little(take_photo: TakePhoto) -> None:
    vertices, faces = square_grid(40, half=0.5)
    wall, wall_faces = square_grid(4, half=3.0)
    both = np.concatenate([vertices, np.add(wall, [0, 0, -2.0])])
    both_faces = np.concatenate([faces, wall_faces + len(vertices)])
    found = _find(both, both_faces, [take_photo(painted(both, both_faces, 1), [0.0, 0, 2])])
    reach = np.abs(both[faces].mean(axis=1)[:, :2]).max(axis=1)
    quality = found.quality[: len(faces), 0]
    border, inner = quality[reach > 0.49], quality[reach < 0.4]
    assert np.median(border) < 0.3 * np.median(inner)
