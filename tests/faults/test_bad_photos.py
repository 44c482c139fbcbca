"""Photos that no reconstruction can use: each has its exit code and says what to do."""

from __future__ import annotations

import json
import shutil
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .harness import contents, left_out, reconstruct, run_record

PHOTOS, DO_NOT_FIT = 3, 7


def test_empty_folder(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    reconstruct(empty, tmp_path / "out").expect(PHOTOS, "photo")
    assert list(empty.iterdir()) == []


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    outcome = reconstruct(tmp_path / "nowhere", tmp_path / "out")
    assert outcome.code in (2, PHOTOS)
    outcome.expect(outcome.code, "nowhere")
    assert not (tmp_path / "out").exists()


def test_two_photos(photos: Path, tmp_path: Path) -> None:
    for path in sorted(photos.iterdir())[2:]:
        path.unlink()
    before = contents(photos)
    reconstruct(photos, tmp_path / "out").expect(PHOTOS, "2", "3")
    assert contents(photos) == before


def test_text_files_named_jpg(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(5):
        (folder / f"note{number}.jpg").write_text(f"this is text number {number}\n" * 50)
    before = contents(folder)
    reconstruct(folder, tmp_path / "out").expect(PHOTOS, "note0.jpg", "not an image")
    assert contents(folder) == before


def test_truncated_photo_is_named_and_the_others_are_used(photos: Path, tmp_path: Path) -> None:
    broken = sorted(photos.iterdir())[3]
    data = broken.read_bytes()
    broken.write_bytes(data[: len(data) // 2])
    before = contents(photos)
    reconstruct(photos, tmp_path / "out", "--until", "resize").expect(0)
    assert "truncated" in left_out(tmp_path / "out")[broken.name]
    assert len(run_record(tmp_path / "out")["photos"]) == 7
    assert contents(photos) == before


def test_thirty_copies_of_one_photo(statue_photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    source = sorted(statue_photos.iterdir())[0]
    for number in range(30):
        shutil.copy(source, folder / f"copy{number:02d}.jpg")
    reconstruct(folder, tmp_path / "out").expect(PHOTOS, "identical to copy00.jpg")
    assert len(list(folder.iterdir())) == 30


def test_black_photos(tmp_path: Path) -> None:
    folder = tmp_path / "black"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 2, (480, 640, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"black{number}.jpg", quality=90)
    outcome = reconstruct(folder, tmp_path / "out")
    assert outcome.code in (PHOTOS, DO_NOT_FIT), outcome
    outcome.expect(outcome.code, "photos")


def test_two_unrelated_subjects(photos: Path, vase_photos: Path, tmp_path: Path) -> None:
    """The larger group is reconstructed, or the user is told that they do not fit."""
    for path in vase_photos.iterdir():
        shutil.copy(path, photos)
    out = tmp_path / "out"
    outcome = reconstruct(photos, out, "--until", "sparse")
    if outcome.code == DO_NOT_FIT:
        outcome.expect(DO_NOT_FIT, "photos")
        return
    outcome.expect(0)
    cameras = json.loads((out / "stages" / "sparse" / "cameras.json").read_text())["images"]
    names = {camera["name"] for camera in cameras}
    assert len(names) >= 7
    assert not any(name.startswith("VASE_") for name in names), "mixed two subjects"
    warnings = [w for stage in run_record(out)["stages"] for w in stage["warnings"]]
    assert any("VASE_0000" in warning for warning in warnings), warnings


def bomb(path: Path, width: int, height: int) -> None:
    """A PNG of a few bytes whose header promises width x height pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(5000)))
    signature = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(signature + chunk(b"IHDR", header) + body + chunk(b"IEND", b""))


def test_header_of_sixty_thousand_pixels_squared(photos: Path, tmp_path: Path) -> None:
    bomb(photos / "bomb.png", 60_000, 60_000)
    reconstruct(photos, tmp_path / "out", "--until", "resize").expect(0)
    assert "pixels" in left_out(tmp_path / "out")["bomb.png"]


def test_only_bombs_end_quickly(tmp_path: Path) -> None:
    folder = tmp_path / "bombs"
    folder.mkdir()
    for number in range(4):
        bomb(folder / f"bomb{number}.png", 60_000, 60_000 + number)
    started = time.monotonic()
    reconstruct(folder, tmp_path / "out").expect(PHOTOS, "bomb0.png", "pixels")
    assert time.monotonic() - started < 60


STRANGE_NAMES = [
    "with space.jpg",
    "quote \" and ' and `id`.jpg",
    "line\nbreak.jpg",
    "Göbekli Tepe, 写真 №1.jpg",
    "-o.jpg",
    "$(touch HERE);& |x.jpg",
]


@pytest.fixture
def strange(photos: Path) -> Path:
    folder = photos.with_name("-my 'photos' été\n2")
    photos.rename(folder)
    for path, name in zip(sorted(folder.iterdir()), STRANGE_NAMES, strict=False):
        path.rename(folder / name)
    return folder


def test_strange_names_come_back_unchanged(strange: Path, tmp_path: Path) -> None:
    before = contents(strange)
    out = tmp_path / "out é '1'"
    reconstruct(strange, out, "--until", "sparse", cwd=tmp_path).expect(0)
    cameras = json.loads((out / "stages" / "sparse" / "cameras.json").read_text())["images"]
    assert {camera["name"] for camera in cameras} <= set(before)
    assert len({camera["name"] for camera in cameras} & set(STRANGE_NAMES)) >= 5
    assert contents(strange) == before
    assert not (tmp_path / "HERE").exists()


def test_names_as_the_shell_passes_them(strange: Path, tmp_path: Path) -> None:
    """A leading dash after `--`, as after `insaat reconstruct … -- *`."""
    from .harness import insaat

    names = sorted(path.name for path in strange.iterdir())
    options = ("-o", tmp_path / "out", "--preset", "draft", "--until", "resize", "--json")
    insaat("reconstruct", *options, "--", *names, cwd=strange).expect(0)
    assert sorted(run_record(tmp_path / "out")["photos"]) == names
