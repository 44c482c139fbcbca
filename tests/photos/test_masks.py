"""Masks find their photos, and what is wrong with them is said."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from PIL import Image

from insaat_cli.errors import PhotosError, UsageError
from insaat_cli.photos import masks
from insaat_cli.photos.masks import fingerprints, with_masks
from insaat_cli.photos.photo_set import Photo, PhotoSet


def photo(name: str, *, orientation: int = 1) -> Photo:
    size = (400, 600) if orientation >= 5 else (600, 400)
    return Photo(
        name=name,
        path=Path("photos") / name,
        width=size[0],
        height=size[1],
        sha256=f"of {name}",
        orientation=orientation,
    )


def mask(path: Path, size: tuple[int, int] = (300, 200)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 255).save(path)
    return path


@pytest.mark.parametrize(
    "name", ["IMG_1.png", "IMG_1.jpg.png", "img_1.JPG.mask.png", "IMG_1.mask.png", "IMG_1_mask.png"]
)
def test_every_way_of_naming_a_mask(tmp_path: Path, name: str) -> None:
    path = mask(tmp_path / name)
    used = with_masks(PhotoSet(used=(photo("IMG_1.JPG"), photo("IMG_10.JPG"))), tmp_path).used
    assert [one.mask for one in used] == [path, None]


@pytest.mark.parametrize("folder", ["masks", "./masks", "photos/../masks", "link", "link/deep/.."])
def test_folder_may_be_named_in_any_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    mask(tmp_path / "masks" / "1.png")
    mask(tmp_path / "masks" / "deep" / "2.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to("masks")
    monkeypatch.chdir(tmp_path)
    used = with_masks(PhotoSet(used=(photo("1.jpg"), photo("deep/2.jpg"))), Path(folder)).used
    for one, name in zip(used, ("1.png", "deep/2.png"), strict=True):
        assert one.mask is not None and one.mask.is_absolute(), "stages run in another folder"
        assert one.mask.resolve() == tmp_path / "masks" / name


def test_folder_that_cannot_be_looked_into_hides_no_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask(tmp_path / "1.png")
    mask(tmp_path / "closed" / "2.png")
    real = os.scandir

    def scandir(path: str) -> object:  # rights do not keep root out
        if path.endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(PermissionError):
        with_masks(PhotoSet(used=(photo("1.jpg"), photo("closed/2.jpg"))), tmp_path)


def test_same_name_in_two_folders_needs_the_folder(tmp_path: Path) -> None:
    photos = PhotoSet(used=(photo("a/1.jpg"), photo("b/1.jpg"), photo("b/2.jpg")))
    right = mask(tmp_path / "b" / "1.png")
    mask(tmp_path / "1.png")
    lone = mask(tmp_path / "2.png")
    found = with_masks(photos, tmp_path)
    assert [one.mask for one in found.used] == [None, right, lone]
    assert [one.name for one in found.left_out] == ["1.png"]


def test_strangers_and_seconds_are_left_out_and_named(tmp_path: Path) -> None:
    for name in ("1.png", "1.jpg.png", "7.png", "notes.txt"):
        mask(tmp_path / "x.png").rename(tmp_path / name)
    found = with_masks(PhotoSet(used=(photo("1.jpg"), photo("2.jpg"))), tmp_path)
    reasons = {one.name: one.reason for one in found.left_out}
    assert set(reasons) == {"1.png", "7.png", "notes.txt"}
    assert "1.jpg.png is used" in reasons["1.png"]
    assert "no photo" in reasons["7.png"]


def test_changed_mask_changes_the_fingerprint(tmp_path: Path) -> None:
    photos = PhotoSet(used=(photo("1.jpg"), photo("2.jpg")))
    mask(tmp_path / "1.png")
    before = fingerprints(with_masks(photos, tmp_path))
    assert [name for name, _ in before] == ["1.jpg"]
    Image.new("L", (300, 200), 128).save(tmp_path / "1.png")
    assert fingerprints(with_masks(photos, tmp_path)) != before


def test_mask_of_a_turned_photo_may_lie_or_stand(tmp_path: Path) -> None:
    photos = PhotoSet(used=(photo("lies.jpg", orientation=6), photo("stands.jpg", orientation=6)))
    mask(tmp_path / "lies.png", (300, 200))
    mask(tmp_path / "stands.png", (200, 300))
    assert all(one.mask for one in with_masks(photos, tmp_path).used)


@pytest.mark.parametrize("size", [(200, 300), (300, 300), (310, 200)])
def test_mask_of_another_shape_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    mask(tmp_path / "1.png", size)
    with pytest.raises(PhotosError, match=r"1\.png.*600 x 400"):
        with_masks(PhotoSet(used=(photo("1.jpg"),)), tmp_path)


def test_unreadable_mask_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(PhotosError, match=r"1\.png cannot be read"):
        with_masks(PhotoSet(used=(photo("1.jpg"),)), tmp_path)


def test_folder_without_any_mask_is_a_mistake(tmp_path: Path) -> None:
    photos = PhotoSet(used=(photo("1.jpg"),))
    with pytest.raises(UsageError, match="not a folder"):
        with_masks(photos, tmp_path / "none")
    mask(tmp_path / "other.png")
    with pytest.raises(UsageError, match="matches a photo's name"):
        with_masks(photos, tmp_path)


def test_photo_with_a_mask_survives_json(tmp_path: Path) -> None:
    path = mask(tmp_path / "1.png")
    (one,) = with_masks(PhotoSet(used=(photo("1.jpg"),)), tmp_path).used
    assert one.mask == path
    assert Photo.from_json(one.to_json()) == one


def five_photos(folder: Path) -> PhotoSet:
    """Each with a white mask."""
    for number in range(5):
        mask(folder / f"{number}.png")
    return PhotoSet(used=tuple(photo(f"{number}.jpg") for number in range(5)))


@pytest.mark.parametrize(
    "black", [Image.new("L", (300, 200), 0), Image.new("RGBA", (300, 200), (255, 255, 255, 0))]
)
def test_a_photo_of_which_its_mask_leaves_nothing_is_left_out(
    tmp_path: Path, black: Image.Image
) -> None:
    photos = five_photos(tmp_path)
    black.save(tmp_path / "3.png")
    found = with_masks(photos, tmp_path)
    assert [one.name for one in found.used] == ["0.jpg", "1.jpg", "2.jpg", "4.jpg"]
    (lost,) = found.left_out
    assert (lost.name, lost.is_photo) == ("3.jpg", True)
    assert "hides all of it" in lost.reason


def test_masks_that_leave_too_few_photos_are_refused_by_name(tmp_path: Path) -> None:
    photos = five_photos(tmp_path)
    for number in (0, 2, 3, 4):
        Image.new("L", (300, 200), 0).save(tmp_path / f"{number}.png")
    with pytest.raises(UsageError) as caught:
        with_masks(photos, tmp_path)
    assert "hide 4 of 5 photos completely" in caught.value.message
    assert "0.png, 2.png, 3.png and 1 more" in caught.value.message
    assert "black pixels are ignored" in caught.value.hint


def test_a_single_white_pixel_and_a_one_for_white_leave_something(tmp_path: Path) -> None:
    photos = five_photos(tmp_path)
    dot = Image.new("L", (300, 200), 0)
    dot.putpixel((150, 100), 255)
    dot.save(tmp_path / "1.png")
    Image.new("L", (300, 200), 1).save(tmp_path / "2.png")
    assert len(with_masks(photos, tmp_path).used) == 5


def test_very_large_masks_are_left_to_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = five_photos(tmp_path)
    Image.new("L", (300, 200), 0).save(tmp_path / "1.png")
    monkeypatch.setattr(masks, "LOOKED_AT_PIXELS", 300 * 200 - 1)
    assert len(with_masks(photos, tmp_path).used) == 5
