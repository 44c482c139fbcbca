"""Working copies: orientation, modes, sizes, and photos that cannot be decoded."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from insaat_cli.errors import PhotosError
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.stage_contract import Events
from insaat_cli.stages.resize import ResizeOptions, resize_photos, to_rgb


def photo(path: Path, image: Image.Image, **saving: Any) -> dict[str, Any]:
    image.save(path, **saving)
    width, height = image.size
    return {
        "name": f"set/{path.name}",
        "path": str(path),
        "width": width,
        "height": height,
        "focal_px": 1000.0,
        "gps": None,
        "time": None,
    }


def gradient(width: int, height: int) -> Image.Image:
    x = np.linspace(0, 255, width)[None, :, None]
    return Image.fromarray(np.broadcast_to(x, (height, width, 3)).astype(np.uint8))


def run(photos: list[dict[str, Any]], output: Path, **options: Any) -> tuple[Any, Any, str]:
    stream = io.StringIO()
    metrics = resize_photos(
        photos, output, ResizeOptions(**options), threads=2, events=Events(stream)
    )
    return metrics, json.loads((output / "images.json").read_text())["images"], stream.getvalue()


def test_upright_small_and_never_enlarged(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees
    turned = photo(tmp_path / "a.jpg", gradient(800, 600), exif=exif)
    turned["width"], turned["height"] = 600, 800
    photos = [
        turned,
        photo(tmp_path / "b.png", gradient(200, 100)),
        photo(tmp_path / "c.jpg", gradient(800, 600)),
    ]
    out = tmp_path / "out"
    out.mkdir()
    _, images, _ = run(photos, out, max_side=400)
    sizes = [(entry["width"], entry["height"]) for entry in images]
    assert sizes == [(300, 400), (200, 100), (400, 300)]
    assert images[0]["focal_px"] == pytest.approx(500.0)
    assert images[1]["focal_px"] == pytest.approx(1000.0)
    assert len({entry["camera"] for entry in images}) == 3
    with Image.open(out / "images" / images[0]["name"]) as upright:
        pixels = np.asarray(upright.convert("L"), float)
        assert upright.size == (300, 400)
    assert pixels[-20:].mean() > pixels[:20].mean() + 150  # left to right became top to bottom


def test_truncated_photo_is_left_out_by_name(tmp_path: Path) -> None:
    photos = [photo(tmp_path / f"{i}.jpg", gradient(400, 300)) for i in range(4)]
    broken = Path(photos[1]["path"])
    broken.write_bytes(broken.read_bytes()[:1500])
    out = tmp_path / "out"
    out.mkdir()
    metrics, images, events = run(photos, out)
    assert [entry["name"] for entry in metrics["left_out"]] == ["set/1.jpg"]
    assert [entry["name"] for entry in images] == ["00000.jpg", "00002.jpg", "00003.jpg"]
    assert "set/1.jpg" in events


def test_too_few_left_is_an_error(tmp_path: Path) -> None:
    photos = [photo(tmp_path / f"{i}.jpg", gradient(400, 300)) for i in range(3)]
    Path(photos[0]["path"]).write_bytes(b"\xff\xd8\xff")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(PhotosError, match="only 2 of 3"):
        run(photos, out)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16", "I", "F"])
def test_every_mode_becomes_rgb_of_the_same_brightness(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 128 * 257, np.uint16))
    elif mode in ("I", "F"):
        image = Image.fromarray(np.full((4, 4), 128, np.int32)).convert(mode)
    else:
        image = Image.new("RGB", (4, 4), (128, 128, 128)).convert(mode)
    rgb = to_rgb(image)
    assert rgb.mode == "RGB"
    mean = float(np.asarray(rgb).mean())
    assert mean == pytest.approx(128, abs=3) or (mode == "1" and 60 < mean < 200)


def half_mask(path: Path, width: int, height: int, **saving: Any) -> Path:
    """White on the left, black on the right."""
    picture = np.zeros((height, width), np.uint8)
    picture[:, : width // 2] = 255
    Image.fromarray(picture).save(path, **saving)
    return path


def working_mask(output: Path, index: int) -> Any:
    return np.asarray(Image.open(output / "masks" / f"{index:05d}.png"))


def test_masks_become_as_large_as_the_working_photos(tmp_path: Path) -> None:
    photos = [photo(tmp_path / f"{name}.jpg", gradient(800, 600)) for name in "abc"]
    photos[0]["mask"] = str(half_mask(tmp_path / "a.png", 400, 300))
    photos[1]["mask"] = str(half_mask(tmp_path / "b-mask.jpg", 800, 600, quality=30))
    out = tmp_path / "out"
    out.mkdir()
    metrics, images, said = run(photos, out, max_side=410, multiple_of=8)
    assert (metrics["masked"], "no mask for set/c.jpg" in said) == (2, True)
    assert not (out / "masks" / "00002.png").exists()
    for index in (0, 1):
        kept = working_mask(out, index)
        assert kept.shape == (images[index]["height"], images[index]["width"]) == (304, 408)
        assert set(np.unique(kept)) == {0, 255}
        assert (kept[:, :198] == 255).all()
        assert (kept[:, 210:] == 0).all()


def test_mask_turns_with_its_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the left of the file is the top of the photo
    photos = [photo(tmp_path / f"{name}.jpg", gradient(800, 600), exif=exif) for name in "abc"]
    lying, standing = half_mask(tmp_path / "l.png", 800, 600), tmp_path / "s.png"
    Image.open(lying).transpose(Image.Transpose.ROTATE_270).save(standing)
    for entry, mask in zip(photos, (lying, standing, None), strict=True):
        entry |= {"width": 600, "height": 800, "orientation": 6}
        entry["mask"] = None if mask is None else str(mask)
    out = tmp_path / "out"
    out.mkdir()
    run(photos, out, max_side=400)
    for index in (0, 1):
        kept = working_mask(out, index)
        assert kept.shape == (400, 300)
        assert (kept[:195] == 255).all()
        assert (kept[205:] == 0).all()


def test_transparency_is_a_mask_unless_there_is_one(tmp_path: Path) -> None:
    cut_out = gradient(400, 300).convert("RGBA")
    cut_out.putalpha(Image.fromarray(np.tile(np.repeat([0, 255], 200), (300, 1)).astype(np.uint8)))
    opaque = gradient(400, 300).convert("RGBA")
    photos = [
        photo(tmp_path / "a.png", cut_out),
        photo(tmp_path / "b.png", cut_out),
        photo(tmp_path / "c.png", opaque),
    ]
    photos[1]["mask"] = str(half_mask(tmp_path / "mask.png", 400, 300))
    out = tmp_path / "out"
    out.mkdir()
    run(photos, out)
    assert (working_mask(out, 0)[:, 200:] == 255).all()
    assert (working_mask(out, 0)[:, :200] == 0).all()
    assert (working_mask(out, 1)[:, :200] == 255).all()
    assert not (out / "masks" / "00002.png").exists()


def test_mask_of_zeros_and_ones_is_black_and_white(tmp_path: Path) -> None:
    photos = [photo(tmp_path / f"{name}.png", gradient(400, 300)) for name in "abc"]
    label = np.zeros((300, 400), np.uint8)
    label[:, :200] = 1
    Image.fromarray(label).save(tmp_path / "m.png")
    photos[0]["mask"] = str(tmp_path / "m.png")
    out = tmp_path / "out"
    out.mkdir()
    run(photos, out)
    assert working_mask(out, 0).mean() == 127.5


def test_damaged_mask_is_named(tmp_path: Path) -> None:
    photos = [photo(tmp_path / f"{name}.png", gradient(400, 300)) for name in "abc"]
    (tmp_path / "m.png").write_bytes(b"nothing")
    photos[0]["mask"] = str(tmp_path / "m.png")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(PhotosError, match=r"m\.png"):
        run(photos, out)


def cut_out(tmp_path: Path, transparent: int, photos: int) -> list[dict[str, Any]]:
    """Photos of which the first few are transparent throughout."""
    made = []
    for number in range(photos):
        picture = gradient(200, 100 + number).convert("RGBA")
        picture.putalpha(0 if number < transparent else 255)
        made.append(photo(tmp_path / f"{number}.png", picture))
    return made


def test_a_photo_with_nothing_to_use_is_left_out_by_name(tmp_path: Path) -> None:
    photos = cut_out(tmp_path, 1, 4)
    out = tmp_path / "out"
    out.mkdir()
    metrics, images, events = run(photos, out)
    assert [entry["source"] for entry in images] == ["set/1.png", "set/2.png", "set/3.png"]
    assert metrics["left_out"] == [{"name": "set/0.png", "reason": "it is fully transparent"}]
    assert "set/0.png is left out: it is fully transparent" in events


def test_masks_that_leave_too_little_are_blamed_and_not_the_files(tmp_path: Path) -> None:
    photos = cut_out(tmp_path, 0, 5)
    for entry in photos[:4]:
        mask = tmp_path / "black.png"
        Image.new("L", (entry["width"], entry["height"]), 0).save(mask)
        entry["mask"] = str(mask)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(PhotosError, match="hide 4 of 5 photos completely") as caught:
        run(photos, out)
    assert "black pixels of a mask" in caught.value.hint


def turning(path: Path, step: int) -> dict[str, Any]:
    """A photo of a wall with something before it that looks different every time."""
    wall = np.random.default_rng(1).integers(0, 255, (60, 80), np.uint8)
    picture = np.asarray(Image.fromarray(wall).resize((400, 300), Image.Resampling.BICUBIC)).copy()
    picture[100:200, 150:250] = np.asarray(
        Image.fromarray(np.random.default_rng(50 + step).integers(0, 255, (20, 20), np.uint8))
        .resize((100, 100), Image.Resampling.BICUBIC)
    )  # fmt: skip
    return photo(path, Image.fromarray(picture).convert("RGB"), quality=95)


@pytest.mark.parametrize("background", ["auto", "keep"])
def test_a_background_that_stands_still_is_left_out_unless_it_is_kept(
    background: str, tmp_path: Path
) -> None:
    photos = [turning(tmp_path / f"{step}.jpg", step) for step in range(6)]
    out = tmp_path / "out"
    out.mkdir()
    metrics, _, events = run(photos, out, background=Background(background))
    masks = sorted((out / "masks").iterdir())
    if background == "keep":
        assert (metrics["still_background"], masks) == (0, [])
        return
    assert metrics["still_background"] == len(masks) == 6
    assert "--background keep" in events
    with Image.open(masks[0]) as mask:
        kept = np.asarray(mask)
    assert kept.shape == (300, 400)
    assert (kept[105:195, 155:245] == 255).all()
    assert (kept[:, :100] == 0).all()
    assert (kept[:60] == 0).all()
