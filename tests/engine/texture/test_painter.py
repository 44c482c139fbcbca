"""A cube photographed from all sides but below gets its colors back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from insaat_cli.engine.render.preview import render
from insaat_cli.engine.texture.painter import PaintOptions, paint
from insaat_cli.engine.texture.photo import Photo
from insaat_cli.errors import StageError

from .conftest import HEIGHT, WIDTH, K, TakePhoto, look_at, painted

CENTERS = [
    [5.2 * np.sin(angle), height, 5.2 * np.cos(angle)]
    for angle, height in zip(np.radians(np.arange(0, 360, 30)), [1.5, 4.0] * 6, strict=True)
]


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / ((a.astype(float) - b.astype(float)) ** 2).mean()))


def _paint(cube, photos: list[Photo], **options):  # type: ignore[no-untyped-def]
    done: list[float] = []
    mesh, summary = paint(*cube, photos, PaintOptions(**options), threads=2, progress=done.append)
    assert done == sorted(done)
    return mesh, summary


def test_the_cube_looks_like_itself_from_new_places(cube, take_photo: TakePhoto) -> None:  # type: ignore[no-untyped-def]
    truth = painted(*cube, 7)
    mesh, summary = _paint(cube, [take_photo(truth, center) for center in CENTERS])

    assert summary.texels_per_pixel == 1.0
    assert len(mesh.faces) == len(cube[1])
    for center in ([3.5, 2.5, 3.4], [-4.2, 2.0, 1.0]):
        pose = look_at(np.array(center), np.zeros(3))
        expected, found = (render(m, pose, K, WIDTH, HEIGHT, threads=1) for m in (truth, mesh))
        assert _psnr(expected, found) >= 30

    # The side below was seen by nobody: filled from the sides, neither black nor left out.
    below = cube[0][cube[1]].mean(axis=1)[:, 1] < -0.999
    assert summary.unseen_faces == below.sum()
    size = np.array([mesh.texture.shape[1], mesh.texture.shape[0]])
    pixel = (mesh.uv[mesh.faces[below]] * size).astype(int)
    assert mesh.texture[pixel[..., 1], pixel[..., 0]].min() > 15


def test_a_passer_by_in_one_photo_is_left_out(cube, take_photo: TakePhoto) -> None:  # type: ignore[no-untyped-def]
    def walk_through(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pixels = pixels.copy()
        pixels[60:, 120:200] = (255, 0, 255)
        pixels[60::4, 120:200] = (0, 255, 0)  # sharp: quality alone would choose it
        return pixels

    truth = painted(*cube, 7)
    photos = [
        take_photo(truth, center, change=walk_through if number == 0 else None)
        for number, center in enumerate(CENTERS)
    ]
    pose = look_at(np.array([0.0, 2.0, 5.0]), np.zeros(3))
    expected = render(truth, pose, K, WIDTH, HEIGHT, threads=1)
    scores = []
    for reject in (False, True):
        mesh, _ = _paint(cube, photos, reject_outliers=reject)
        scores.append(_psnr(expected, render(mesh, pose, K, WIDTH, HEIGHT, threads=1)))
    assert scores[0] < 22
    assert scores[1] > 27


def test_a_small_atlas_holds_everything_at_a_smaller_scale(cube, take_photo: TakePhoto) -> None:  # type: ignore[no-untyped-def]
    truth = painted(*cube, 7)
    photos = [take_photo(truth, center) for center in CENTERS]
    mesh, summary = _paint(cube, photos, largest_side=256)
    assert max(mesh.texture.shape) <= 256
    assert 0.2 < summary.texels_per_pixel < 1.0
    assert mesh.uv.min() >= 0.0
    assert mesh.uv.max() <= 1.0


def test_further_pages_hold_what_a_small_one_cannot(cube, take_photo: TakePhoto) -> None:  # type: ignore[no-untyped-def]
    truth = painted(*cube, 7)
    photos = [take_photo(truth, center) for center in CENTERS]
    _, one = _paint(cube, photos, largest_side=192)
    mesh, summary = _paint(cube, photos, largest_side=192, max_pages=4)
    assert one.texels_per_pixel < 0.7 <= summary.texels_per_pixel
    assert summary.pages == len(mesh.pages) > 1
    assert all(max(page.shape) <= 192 for page in mesh.pages)
    assert mesh.page_of_face is not None
    assert set(mesh.page_of_face.tolist()) == set(range(len(mesh.pages)))
    pose = look_at(np.array([3.5, 2.5, 3.4]), np.zeros(3))
    expected, found = (render(m, pose, K, WIDTH, HEIGHT, threads=1) for m in (truth, mesh))
    assert _psnr(expected, found) >= 28


def test_a_mesh_that_no_photo_sees_is_an_error(cube, take_photo: TakePhoto) -> None:  # type: ignore[no-untyped-def]
    photo = take_photo(painted(*cube, 7), [0.0, 0, 6], target=(0, 0, 12))
    with pytest.raises(StageError, match="no photo sees"):
        _paint(cube, [photo])
