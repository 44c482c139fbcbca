"""Photos whose faults are known: a walk along a wall, with some of its photos spoilt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from insaat_cli.cli.app import run
from insaat_cli.errors import ExitCode
from insaat_cli.inspection.advice import Advice, name_list
from insaat_cli.inspection.check_photos import CheckOptions, check_photos
from insaat_cli.inspection.photo_overlap import Link, find_links
from insaat_cli.inspection.photo_quality import Look, look_at, sharpness
from insaat_cli.inspection.photo_set_advice import advise
from insaat_cli.photos.photo_set import Photo

Picture = npt.NDArray[np.uint8]
WIDTH, HEIGHT, STEP = 800, 600, 160
COUNT = 10


def wall(seed: int) -> Picture:
    """A long picture with detail of every size, sharp to the pixel."""
    random = np.random.default_rng(seed)
    total = np.zeros((HEIGHT, WIDTH + STEP * COUNT), np.float32)
    for cell in (1, 2, 4, 8, 16, 32, 64):
        size = (total.shape[1] // cell + 2, total.shape[0] // cell + 2)
        noise = random.normal(0, 1, (size[1], size[0])).astype(np.float32)
        large = cv2.resize(noise, None, fx=cell, fy=cell, interpolation=cv2.INTER_LINEAR)
        total += large[: total.shape[0], : total.shape[1]] * cell**0.5
    total = (total - total.mean()) / total.std()
    return np.clip(128 + 40 * total, 0, 255).astype(np.uint8)


def walk(folder: Path, spoil: dict[int, Callable[[Picture], Picture]] | None = None) -> Path:
    """Photos along the wall; `spoil` changes some of them."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = wall(0)
    for number in range(COUNT):
        view = picture[:, number * STEP : number * STEP + WIDTH]
        if spoil and number in spoil:
            view = spoil[number](view)
        cv2.imwrite(str(folder / f"shot{number:02d}.jpg"), view, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return folder


def kinds(advice: tuple[Advice, ...]) -> dict[str, tuple[str, ...]]:
    return {one.kind: one.photos for one in advice}


def checked(folder: Path) -> dict[str, tuple[str, ...]]:
    return kinds(check_photos(CheckOptions(sources=[folder], threads=2)).advice)


def test_a_good_walk_gets_no_warning(tmp_path: Path) -> None:
    report = check_photos(CheckOptions(sources=[walk(tmp_path)], threads=2))
    assert set(kinds(report.advice)) <= {"open_ring"}
    assert report.exit_code(strict=True) is ExitCode.DONE
    neighbours = {(one.first, one.second) for one in report.links}
    assert {(i, i + 1) for i in range(COUNT - 1)} <= neighbours
    overlap = next(one.overlap for one in report.links if (one.first, one.second) == (0, 1))
    assert overlap == pytest.approx(1 - STEP / WIDTH, abs=0.08)


def shake(picture: Picture) -> Picture:
    return cv2.filter2D(picture, -1, np.full((1, 9), 1 / 9))


def test_spoilt_photos_are_named(tmp_path: Path) -> None:
    spoil = {
        2: lambda picture: cv2.GaussianBlur(picture, (0, 0), 2.0),
        5: shake,
        7: lambda picture: np.where(picture > 60, 255, picture).astype(np.uint8),
        8: lambda picture: (picture // 8).astype(np.uint8),
    }
    found = checked(walk(tmp_path, spoil))
    assert found["blur"] == ("shot02.jpg", "shot05.jpg")
    assert found["blown"] == ("shot07.jpg",)
    assert "shot08.jpg" in found["exposure"]


def test_photos_of_something_else_do_not_fit(tmp_path: Path) -> None:
    folder = walk(tmp_path)
    other = wall(7)
    for number in range(3):
        view = other[:, number * STEP : number * STEP + WIDTH]
        cv2.imwrite(str(folder / f"other{number}.jpg"), view)
    found = checked(folder)
    assert found["apart"] == ("other0.jpg", "other1.jpg", "other2.jpg")


def test_photo_from_the_same_place_is_named(tmp_path: Path) -> None:
    folder = walk(tmp_path)
    again = cv2.imread(str(folder / "shot04.jpg"))
    cv2.imwrite(str(folder / "shot04b.jpg"), again, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert checked(folder)["same_place"] == ("shot04b.jpg",)


def test_a_missing_part_of_the_walk_is_named(tmp_path: Path) -> None:
    folder = walk(tmp_path)
    for number in (4, 5, 6, 7):
        (folder / f"shot{number:02d}.jpg").unlink()
    found = checked(folder)
    assert found["apart"] == ("shot08.jpg", "shot09.jpg")


def test_shake_in_any_direction_is_less_sharp() -> None:
    picture = wall(3)[:, :WIDTH]
    still = sharpness(picture)
    for kernel in (np.full((1, 9), 1 / 9), np.full((9, 1), 1 / 9), np.eye(9) / 9):
        assert sharpness(cv2.filter2D(picture, -1, kernel)) < 0.5 * still
    darker = sharpness((picture // 3).astype(np.uint8))
    assert darker == pytest.approx(still, rel=0.35), "brightness is not sharpness"


def look(**changes: float) -> Look:
    values = {
        "sharpness": 0.3,
        "blown": 0.0,
        "black": 0.0,
        "brightness_stops": -2.0,
        "aspect": 0.75,
    }
    none = np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    return Look(**{**values, **changes}, places=none[0], descriptors=none[1])


def photo(number: int, **changes: object) -> Photo:
    values = {"path": Path("x"), "width": 4000, "height": 3000, "sha256": "", "focal_mm": 24.0}
    return Photo(name=f"IMG_{number:04d}.JPG", **{**values, **changes})


def ring(count: int, *, without: tuple[tuple[int, int], ...] = ()) -> list[Link]:
    """A closed walk around something: each photo sees what the next two see."""
    found = []
    for i in range(count):
        for step in (1, 2):
            first, second = sorted((i, (i + step) % count))
            if (first, second) not in without:
                one = Link(first=first, second=second, matches=200, shift=0.1, overlap=0.7)
                found.append(one)
    return found


def advice_for(count: int, links: list[Link], **changed: object) -> dict[str, tuple[str, ...]]:
    photos = [photo(i) for i in range(count)]
    return kinds(tuple(advise(photos, [look() for _ in photos], links)))


def test_a_closed_ring_is_complete() -> None:
    assert advice_for(20, ring(20)) == {}


def test_a_gap_in_the_ring_is_found_although_all_hangs_together() -> None:
    cut = ((8, 9), (8, 10), (7, 9))
    assert advice_for(20, ring(20, without=cut)) == {"gap": ("IMG_0008.JPG", "IMG_0009.JPG")}


def test_an_open_ring_is_a_hint() -> None:
    cut = ((0, 19), (1, 19), (0, 18))
    assert advice_for(20, ring(20, without=cut)) == {"open_ring": ("IMG_0000.JPG", "IMG_0019.JPG")}


def test_cameras_and_zoom_are_told_apart_but_not_turned_ones() -> None:
    photos = [photo(i) for i in range(6)]
    photos[1] = photo(1, width=3000, height=4000)
    assert kinds(tuple(advise(photos, [look()] * 6, ring(6)))) == {}
    photos[2] = photo(2, focal_mm=70.0)
    photos[3] = photo(3, model="Other")
    found = kinds(tuple(advise(photos, [look()] * 6, ring(6))))
    assert found == {"cameras": ("IMG_0003.JPG",), "focal_length": ("IMG_0002.JPG",)}


def test_mostly_blurred_set_is_unusable() -> None:
    looks = [look(sharpness=0.02) for _ in range(6)]
    (only,) = advise([photo(i) for i in range(6)], looks, ring(6))
    assert only.severity == "photos_unusable"


@pytest.mark.parametrize(
    ("indices", "text"),
    [
        ([3], "IMG_0003.JPG"),
        ([1, 3], "IMG_0001.JPG and IMG_0003.JPG"),
        ([4, 5, 6], "IMG_0004.JPG to IMG_0006.JPG (3 photos in a row)"),
        ([0, 2, 4, 6, 8, 9], "IMG_0000.JPG, IMG_0002.JPG, IMG_0004.JPG, IMG_0006.JPG and 2 more"),
    ],
)
def test_names_in_words(indices: list[int], text: str) -> None:
    assert name_list([photo(i) for i in range(10)], indices) == text


def test_large_sets_are_not_compared_all_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    compared = []
    monkeypatch.setattr(
        "insaat_cli.inspection.photo_overlap._sample_score",
        lambda looks, a, b: compared.append((a, b)) or 0,
    )
    looks = []
    for _ in range(300):
        rows = random.random((4, 128)).astype(np.float32)
        looks.append(Look(**{**vars(look()), "descriptors": rows, "places": rows[:, :2]}))
    find_links(looks, 1)
    assert len(compared) <= 300 * 60


def test_command_speaks_json_and_sets_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = walk(tmp_path, {3: lambda picture: cv2.GaussianBlur(picture, (0, 0), 2.5)})
    assert run(["check", str(folder), "--json"]) == ExitCode.DONE
    fields = json.loads(capsys.readouterr().out)
    assert len(fields["photos"]) == COUNT
    assert fields["advice"][0]["kind"] == "blur"
    assert run(["check", str(folder), "--strict"]) == ExitCode.PHOTOS
    assert "shot03.jpg" in capsys.readouterr().out
    assert run(["check", str(tmp_path / "none")]) == ExitCode.USAGE


def test_real_photos_pass(shared_data: Path) -> None:
    report = check_photos(CheckOptions(sources=[shared_data / "sceaux"], threads=2))
    assert report.exit_code(strict=False) is ExitCode.DONE
    assert "blur" not in kinds(report.advice)
    assert look_at(report.photos.used[0].path).sharpness > 0.2
