"""The demo's photo set is made once, and nothing of the user's is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from insaat_cli import scenes
from insaat_cli.errors import UsageError
from insaat_cli.reconstruction.demo import demo_photos


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []

    def make(folder: Path, *, photos: int) -> None:
        calls.append(photos)
        (folder / "images").mkdir()

    monkeypatch.setattr(scenes, "make_photo_set", make)
    return calls


def test_photos_are_made_once_for_a_number(tmp_path: Path, made: list[int]) -> None:
    assert demo_photos(tmp_path, photos=8) == tmp_path / "photos" / "images"
    demo_photos(tmp_path, photos=8)
    assert made == [8]
    demo_photos(tmp_path, photos=12)
    assert made == [8, 12]


def test_half_made_set_is_made_again(
    tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: Path, *, photos: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(scenes, "make_photo_set", interrupted)
        demo_photos(tmp_path, photos=8)
    demo_photos(tmp_path, photos=8)
    assert made == [8]


def test_folder_of_someone_else_is_left_alone(tmp_path: Path, made: list[int]) -> None:
    precious = tmp_path / "photos" / "holiday.jpg"
    precious.parent.mkdir()
    precious.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="did not make"):
        demo_photos(tmp_path, photos=8)
    assert precious.exists()
    assert made == []


def test_files_added_to_the_demo_photos_are_not_removed(tmp_path: Path, made: list[int]) -> None:
    demo_photos(tmp_path, photos=8)
    precious = tmp_path / "photos" / "images" / "holiday.jpg"
    precious.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match=r"did not make: images/holiday\.jpg"):
        demo_photos(tmp_path, photos=12)
    assert precious.exists()
    assert demo_photos(tmp_path, photos=8) == tmp_path / "photos" / "images"
    assert made == [8]
