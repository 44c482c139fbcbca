"""Photo discovery: every kind of bad file, names, order, and what EXIF says."""

from __future__ import annotations

import json
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from insaat_cli.errors import PhotosError, UsageError
from insaat_cli.formatting import printable
from insaat_cli.photos import photo_file
from insaat_cli.photos.find_photos import find_photos, natural_key
from insaat_cli.photos.photo_set import PhotoSet

SIZE = (640, 480)


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Noise in blocks: compresses, and no two seeds give the same."""
    noise = Image.frombytes("RGB", (32, 24), random.Random(seed).randbytes(32 * 24 * 3))
    return noise.resize(size, Image.Resampling.NEAREST)


def save(path: Path, seed: int, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, size).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three good photos, so that bad ones beside them can be left out."""
    for number in (1, 2, 10):
        save(tmp_path / "photos" / f"IMG_{number}.jpg", number)
    return tmp_path / "photos"


def reason_of(folder: Path, name: str, **options: Any) -> str:
    photos = find_photos([folder], **options)
    assert len(photos.used) == 3
    [reason] = [file.reason for file in photos.left_out if file.name == name]
    return reason


def png_header(width: int, height: int) -> bytes:
    fields = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b""
    for kind, data in ((b"IHDR", fields), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        crc = zlib.crc32(kind + data)
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_good_photos_are_used_in_natural_order(folder: Path) -> None:
    photos = find_photos([folder])
    assert [photo.name for photo in photos.used] == ["IMG_1.jpg", "IMG_2.jpg", "IMG_10.jpg"]
    assert photos.left_out == ()
    assert {(photo.width, photo.height) for photo in photos.used} == {SIZE}


@pytest.mark.parametrize("kind", ["png", "tif", "webp", "heic", "jpeg", "JPG"])
def test_every_format_is_read(tmp_path: Path, kind: str) -> None:
    pillow_heif.register_heif_opener()
    for seed in range(3):
        save(tmp_path / f"{seed}.{kind}", seed)
    assert len(find_photos([tmp_path]).used) == 3


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp", "heic"])
def test_truncated_files_are_left_out(folder: Path, kind: str) -> None:
    pillow_heif.register_heif_opener()
    path = save(folder / f"cut.{kind}", 77)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    assert "truncated" in reason_of(folder, path.name)


@pytest.mark.parametrize("how", ["png", "progressive jpg"])
def test_nothing_is_held_decoded_to_see_that_it_is_truncated(
    folder: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four readers at once held four pictures of 48 megapixels, outside any budget."""

    def decodes(image: Image.Image) -> bool:
        raise AssertionError(f"a {image.format} of {image.size} was decoded")

    monkeypatch.setattr(photo_file, "_decodes", decodes)
    path = folder / f"cut.{how.split()[-1]}"
    with Image.open(folder / "IMG_1.jpg") as photo:
        photo.save(path, **({"progressive": True} if "jpg" in how else {}))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert "truncated" in reason_of(folder, path.name)
    path.write_bytes(whole + b"a phone's trailer" * 1000)
    assert len(find_photos([folder]).used) == 4


def test_the_end_of_a_thumbnail_is_not_that_of_its_photo(folder: Path) -> None:
    path = save(folder / "thumb.jpg", 5)
    data = path.read_bytes()
    inside = b"\xff\xd8thumbnail\xff\xd9"
    header = b"\xff\xe2" + (len(inside) + 2).to_bytes(2, "big") + inside
    cut = data[:2] + header + data[2 : len(data) * 2 // 3]
    path.write_bytes(cut)
    assert "truncated" in reason_of(folder, "thumb.jpg")


def test_data_after_the_end_of_a_jpeg_is_no_fault(folder: Path) -> None:
    path = save(folder / "motion.jpg", 5)
    path.write_bytes(path.read_bytes() + b"a phone's trailer" * 1000)
    assert len(find_photos([folder]).used) == 4


def test_jpeg_with_its_end_overwritten_by_zeros_is_truncated(folder: Path) -> None:
    path = save(folder / "zeros.jpg", 5)
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] + bytes(len(data) - half))
    assert "truncated" in reason_of(folder, "zeros.jpg")


def test_decompression_bomb_is_refused_from_its_header(folder: Path) -> None:
    (folder / "bomb.png").write_bytes(png_header(60_000, 60_000))
    assert "above the limit of 300 megapixels" in reason_of(folder, "bomb.png")
    assert "60000 x 60000" in reason_of(folder, "bomb.png")


def test_pixel_limit_can_be_set(folder: Path) -> None:
    save(folder / "large.png", 3, (800, 600))
    assert "above the limit" in reason_of(folder, "large.png", max_pixels=400_000)


def test_animations_are_left_out_but_phones_double_photos_are_not(folder: Path) -> None:
    frames = [picture(seed) for seed in (20, 21)]
    frames[0].save(folder / "moving.png", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "pages.tif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "film.gif", save_all=True, append_images=frames[1:])
    assert reason_of(folder, "moving.png") == "animated: 2 frames"
    assert "contains 2 pictures" in reason_of(folder, "pages.tif")
    assert "GIF" in reason_of(folder, "film.gif")
    frames[0].save(folder / "phone.mpo", save_all=True, append_images=frames[1:])
    (folder / "phone.mpo").rename(folder / "phone.jpg")
    assert "phone.jpg" in [photo.name for photo in find_photos([folder]).used]


@pytest.mark.parametrize(
    "xmp",
    [
        '<rdf:Description GPano:ProjectionType="equirectangular"/>',
        "<GPano:ProjectionType>equirectangular</GPano:ProjectionType>",
    ],
    ids=["attribute", "element"],
)
def test_a_panorama_of_everything_around_is_left_out_with_what_to_do(
    folder: Path, xmp: str
) -> None:
    save(folder / "around.jpg", 40, (800, 400), xmp=f"<x:xmpmeta>{xmp}</x:xmpmeta>".encode())
    assert "360-degree panorama" in reason_of(folder, "around.jpg")
    save(folder / "part.jpg", 41, (800, 600), xmp=xmp.encode())
    save(folder / "wide.jpg", 42, (1000, 500))
    assert {"part.jpg", "wide.jpg"} <= {photo.name for photo in find_photos([folder]).used}


def test_thumbnail_page_of_a_tiff_is_no_second_picture(folder: Path) -> None:
    small = picture(31, (64, 48))
    picture(30).save(folder / "with_thumbnail.tif", save_all=True, append_images=[small])
    [photo] = [photo for photo in find_photos([folder]).used if photo.name.endswith("tif")]
    assert (photo.width, photo.height) == SIZE


def test_files_that_are_no_photos_are_named_with_the_reason(folder: Path) -> None:
    (folder / "notes.jpg").write_text("not a photo", encoding="utf-8")
    (folder / "notes.txt").write_text("not a photo", encoding="utf-8")
    (folder / "empty.jpg").touch()
    (folder / "raw.CR2").write_bytes(b"II*\0")
    (folder / ".DS_Store").write_bytes(b"x")
    save(folder / "icon.png", 8, (64, 64))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    assert reason_of(folder, "notes.jpg") == "not an image, or its beginning is damaged"
    assert reason_of(folder, "notes.txt") == "not an image"
    assert reason_of(folder, "empty.jpg") == "empty file"
    assert "RAW" in reason_of(folder, "raw.CR2")
    assert "too small: 64 x 64" in reason_of(folder, "icon.png")
    assert reason_of(folder, "pipe.jpg") == "not a regular file"
    assert "broken link" in reason_of(folder, "gone.jpg")
    assert "cannot be read" in reason_of(folder, "loop.jpg")
    assert ".DS_Store" not in {file.name for file in find_photos([folder]).left_out}


def test_duplicates_by_content_are_left_out(folder: Path) -> None:
    (folder / "copy.jpg").write_bytes((folder / "IMG_2.jpg").read_bytes())
    photos = find_photos([folder])
    assert [photo.name for photo in photos.used] == ["copy.jpg", "IMG_1.jpg", "IMG_10.jpg"]
    [left_out] = photos.left_out
    assert (left_out.name, left_out.reason) == ("IMG_2.jpg", "identical to copy.jpg")


def test_thirty_copies_of_one_photo_are_too_few(tmp_path: Path) -> None:
    data = save(tmp_path / "0.jpg", 1).read_bytes()
    for number in range(1, 30):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    with pytest.raises(PhotosError, match="only 1 usable photo") as caught:
        find_photos([tmp_path])
    assert "1.jpg and 28 others: identical to 0.jpg" in caught.value.message


def test_too_few_photos_lists_the_reasons_briefly(tmp_path: Path) -> None:
    for number in range(40):
        save(tmp_path / f"small_{number}.png", number, (20 + number, 20))
    with pytest.raises(PhotosError, match="no usable photo") as caught:
        find_photos([tmp_path])
    lines = caught.value.message.splitlines()
    assert len(lines) == 10
    assert "32 other reasons" in lines[-1]


def test_empty_folder_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(PhotosError) as caught:
        find_photos([tmp_path])
    assert "--recursive" in caught.value.hint


def test_a_folder_of_photo_sets_is_one_for_batch(tmp_path: Path) -> None:
    save(tmp_path / "cup" / "1.jpg", 1)
    with pytest.raises(PhotosError) as caught:
        find_photos([tmp_path])
    assert f"insaat batch {tmp_path} to make one model of each" in caught.value.hint
    with pytest.raises(PhotosError, match="only 1 usable photo"):
        find_photos([tmp_path], recursive=True)
    (tmp_path / "cup" / "1.jpg").unlink()
    with pytest.raises(PhotosError, match="no usable photo"):
        find_photos([tmp_path], recursive=True)


def test_a_video_is_one_for_frames_and_an_archive_to_be_unpacked(tmp_path: Path) -> None:
    clip, archive = tmp_path / "clip.MP4", tmp_path / "photos.zip"
    clip.write_bytes(b"\0\0\0 ftypisom")
    archive.write_bytes(b"PK\3\4")
    with pytest.raises(PhotosError, match=r"clip\.MP4: a video: extract") as of_clip:
        find_photos([clip])
    assert f"run insaat frames {clip}" in of_clip.value.hint
    with pytest.raises(PhotosError, match=r"photos\.zip: an archive: unpack it first"):
        find_photos([archive])


def test_a_url_is_no_file_that_is_missing() -> None:
    with pytest.raises(UsageError, match=r"from a URL: https://example\.org/a%20b") as caught:
        find_photos([Path("https://example.org/a%20b")])
    assert "download" in caught.value.hint


def test_missing_source_and_pattern_without_match_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="file or folder not found:"):
        find_photos([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="nothing matches"):
        find_photos([tmp_path / "*.jpg"])


def test_folder_that_cannot_be_opened_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "locked").mkdir()
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert "Permission denied" in reason_of(folder, "locked", recursive=True)


def test_recursion_follows_links_once_and_skips_the_output(folder: Path) -> None:
    save(folder / "day 2" / "IMG_1.jpg", 50)
    save(folder / "out" / "stages" / "IMG_7.jpg", 51)
    (folder / "day 2" / "up").symlink_to(folder, target_is_directory=True)
    assert len(find_photos([folder]).used) == 3
    photos = find_photos([folder], recursive=True, exclude=[folder / "out"])
    assert sorted(photo.name for photo in photos.used) == [
        "IMG_1.jpg",
        "IMG_10.jpg",
        "IMG_2.jpg",
        "day 2/IMG_1.jpg",
    ]


def test_pattern_that_no_shell_expanded(folder: Path) -> None:
    save(folder / "IMG_3.png", 3)
    photos = find_photos([folder / "*.jpg"])
    assert [photo.name for photo in photos.used] == ["IMG_1.jpg", "IMG_2.jpg", "IMG_10.jpg"]


def test_same_file_given_twice_counts_once(folder: Path) -> None:
    photos = find_photos([folder, folder / "IMG_1.jpg", folder])
    assert len(photos.used) == 3
    assert photos.left_out == ()


def test_names_are_unique_over_several_sources(tmp_path: Path) -> None:
    for seed, day in enumerate(("a/photos", "b/photos")):
        for number in range(2):
            save(tmp_path / day / f"IMG_{number}.jpg", 10 * seed + number)
    save(tmp_path / "b" / "photos" / "only.jpg", 99)
    names = [p.name for p in find_photos([tmp_path / "a/photos", tmp_path / "b/photos"]).used]
    assert names == [
        "a/photos/IMG_0.jpg",
        "a/photos/IMG_1.jpg",
        "b/photos/IMG_0.jpg",
        "b/photos/IMG_1.jpg",
        "only.jpg",
    ]


@pytest.mark.parametrize(
    "name", ["with space.jpg", "-rf.jpg", 'it\'s "it".jpg', "new\nline.jpg", "çığ 山.jpg"]
)
def test_odd_names_are_used_and_shown_on_one_line(folder: Path, name: str) -> None:
    save(folder / name, 60)
    [photo] = [photo for photo in find_photos([folder]).used if not photo.name.startswith("IMG")]
    assert photo.name == name
    assert "\n" not in printable(photo.name)


def test_name_that_is_not_utf_8_survives_json(folder: Path) -> None:
    path = os.fsencode(folder) + b"/caf\xe9.jpg"
    Path(os.fsdecode(path)).write_bytes(save(folder / "x.png", 61).read_bytes())
    (folder / "x.png").unlink()
    photos = find_photos([folder])
    text = json.dumps(photos.to_json())
    again = PhotoSet.from_json(json.loads(text))
    assert again == photos
    assert r"caf\udce9.jpg" in [photo.name for photo in again.used]
    assert os.fsencode(again.used[0].path) == path


def exif_bytes(
    base: dict[int, Any], details: dict[int, Any], gps: dict[int, Any] | None = None
) -> bytes:
    exif = Image.Exif()
    exif.update(base)
    exif.get_ifd(0x8769).update(details)
    if gps:
        exif.get_ifd(0x8825).update(gps)
    return exif.tobytes()


def only_photo_with(folder: Path, exif: bytes) -> Any:
    save(folder / "with_exif.jpg", 70, exif=exif)
    [photo] = [photo for photo in find_photos([folder]).used if photo.name == "with_exif.jpg"]
    return photo


def test_exif_is_read(folder: Path) -> None:
    photo = only_photo_with(
        folder,
        exif_bytes(
            {271: "MAKER\0", 272: " Model 1 ", 274: 6},
            {
                0x9003: "2024:05:06 07:08:09",
                0x9291: "25",
                0x9011: "+03:00",
                0x920A: 4.5,
                0xA405: 28,
            },
            {1: "S", 2: (36.0, 30.0, 0.0), 3: "E", 4: (32.0, 15.0, 36.0), 5: b"\0", 6: 120.5},
        ),
    )
    assert (photo.width, photo.height) == (480, 640)
    assert photo.orientation == 6
    assert (photo.make, photo.model) == ("MAKER", "Model 1")
    assert photo.time == "2024-05-06T07:08:09.25+03:00"
    assert photo.gps == pytest.approx((-36.5, 32.26, 120.5))
    assert (photo.focal_mm, photo.focal_35mm) == (4.5, 28)
    assert photo.focal_px == pytest.approx(28 / 43.2666 * 800, rel=1e-5)


@pytest.mark.parametrize("kind", ["jpg", "heic", "png", "webp", "tif"])
def test_turned_photos_stand_upright(folder: Path, kind: str) -> None:
    pillow_heif.register_heif_opener()
    save(folder / f"turned.{kind}", 71, exif=exif_bytes({274: 8}, {0xA405: 28}))
    [photo] = [photo for photo in find_photos([folder]).used if photo.name.startswith("turned")]
    assert (photo.width, photo.height) == (480, 640)
    assert photo.focal_px == pytest.approx(28 / 43.2666 * 800, rel=1e-5)


def test_focal_length_from_the_sensors_resolution(folder: Path) -> None:
    # 640 pixels over 6.4 mm: 100 pixels a mm, written as pixels a cm (unit 3).
    details = {0x920A: 8.0, 0xA20E: 1000.0, 0xA210: 3, 0xA002: 640, 0xA003: 480}
    assert only_photo_with(folder, exif_bytes({}, details)).focal_px == pytest.approx(800.0)


def test_focal_length_of_a_photo_resized_since(folder: Path) -> None:
    details = {0x920A: 8.0, 0xA20E: 4000.0, 0xA210: 3, 0xA002: 2560, 0xA003: 1920}
    assert only_photo_with(folder, exif_bytes({}, details)).focal_px == pytest.approx(800.0)


@pytest.mark.parametrize(
    "details",
    [
        {0x920A: 8.0},
        {0x920A: 0.0, 0xA405: 0},
        {0x920A: 8.0, 0xA20E: 0.001, 0xA210: 2},
        {0xA405: 9000},
    ],
)
def test_focal_length_that_cannot_be_is_none(folder: Path, details: dict[int, Any]) -> None:
    assert only_photo_with(folder, exif_bytes({}, details)).focal_px is None


def test_equivalent_wins_over_a_contradicting_sensor(folder: Path) -> None:
    details = {0x920A: 8.0, 0xA20E: 1000.0, 0xA210: 2, 0xA405: 50}
    focal = only_photo_with(folder, exif_bytes({}, details)).focal_px
    assert focal == pytest.approx(50 / 43.2666 * 800, rel=1e-5)


def test_damaged_exif_is_no_reason_to_leave_a_photo_out(folder: Path) -> None:
    good = exif_bytes({271: "MAKER", 274: 99}, {0x9003: "yesterday"})
    photo = only_photo_with(folder, good[:-9] + b"\xff" * 9)
    assert (photo.orientation, photo.time, photo.gps) == (1, None, None)


def test_natural_key() -> None:
    names = ["b10", "B9", "a", "b9", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "B9", "b9", "b10"]


def test_only_photos_count_as_lost(folder: Path) -> None:
    (folder / "same.jpg").write_bytes((folder / "IMG_1.jpg").read_bytes())
    for name in ("cut.JPG", "raw.CR2", "empty.heic", "notes.txt", "film.gif", "paper.pdf"):
        (folder / name).write_bytes(b"")
    lost = {file.name: file.is_photo for file in find_photos([folder]).left_out}
    assert lost == {
        "same.jpg": False, "cut.JPG": True, "raw.CR2": True, "empty.heic": True,
        "notes.txt": False, "film.gif": False, "paper.pdf": False,
    }  # fmt: skip
