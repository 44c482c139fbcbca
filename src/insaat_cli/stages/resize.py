"""Prepare the photos: upright, RGB, at most `max_side` pixels, under safe names.

Every later stage reads `images/00000.jpg …` and `images.json`, never the original files.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from insaat_cli.engine.sfm.still_background import mask_still_background
from insaat_cli.engine.sfm.working_photos import some_of
from insaat_cli.engine.working_images import FOLDER, write_mask
from insaat_cli.errors import PhotosError
from insaat_cli.photos.masks import HIDDEN, shrunk, transparency, upright_mask
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

MIN_PHOTOS = 3
TRANSPARENT = "it is fully transparent"
REDUCING_GAP = 3.0
"""Pillow box-shrinks to this many times the target before its Lanczos filter."""


@dataclass(frozen=True, kw_only=True)
class ResizeOptions:
    """How large and how well compressed the working copies are."""

    max_side: int = 2400
    """Longest side in pixels; smaller photos keep their size."""
    quality: int = 95
    """JPEG quality."""
    multiple_of: int = 1
    """Sides are cut evenly to multiples of this, in pixels: some programs need such sizes."""
    background: Background = Background.AUTO
    """What becomes of a background that stands still while the subject turns."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one photo: its size in pixels, or why it could not be decoded."""

    size: tuple[int, int] | None
    longest_side: int = 0
    """Before it was cut."""
    reason: str = ""
    masked: bool = False
    """Whether some of it is not to be used."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow mode to RGB: alpha over white, 16 bit scaled to 8, CMYK and palettes."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, over).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """16-bit integers keep their top byte; anything else is stretched over its own range."""
    values = pixels.astype(np.float32)
    if np.issubdtype(pixels.dtype, np.integer) and 255 < values.max() <= 65535:
        return np.asarray(values / 257.0 + 0.5, np.uint8)
    low, high = (0.0, 255.0) if values.min() >= 0 and values.max() <= 255 else _range(values)
    return np.asarray(np.clip((values - low) * (255.0 / max(high - low, 1e-12)), 0, 255), np.uint8)


def _range(values: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def prepare_photo(
    source: Path,
    target: Path,
    options: ResizeOptions,
    *,
    mask: Path | None = None,
    orientation: int = 1,
) -> Outcome:
    """Write the working copy of one photo, and of its mask: `mask`, else its own transparency.

    A file that cannot be decoded to its end is an Outcome with a reason, not an exception; a mask
    that cannot be is a PhotosError.
    """
    try:
        with Image.open(source) as image:
            side = (options.max_side, options.max_side)
            # A JPEG is decoded at 1/2, 1/4 or 1/8 straight from its coefficients where that
            # still leaves enough pixels for a good filter.
            image.draft(None, side)
            image.load()
            upright = ImageOps.exif_transpose(image)
        kept = transparency(upright) if mask is None else upright_mask(mask, upright, orientation)
        upright = to_rgb(upright)
        upright.thumbnail(side, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, EOFError) as error:
        return Outcome(size=None, reason=f"it cannot be decoded: {error}")
    longest_side = max(upright.size)
    if kept is not None:
        mask_picture = cut_to_multiple(shrunk(kept, upright.size), options.multiple_of)
        used = np.asarray(mask_picture) > 0
        if not used.any():
            return Outcome(size=None, reason=TRANSPARENT if mask is None else HIDDEN)
        write_mask(target, used)
    upright = cut_to_multiple(upright, options.multiple_of)
    upright.save(target, quality=options.quality, subsampling=0, optimize=False)
    return Outcome(size=upright.size, longest_side=longest_side, masked=kept is not None)


def cut_to_multiple(image: Image.Image, multiple_of: int) -> Image.Image:
    """`image` without the few pixels at its edges that are too many; its middle stays there."""
    left, top = (side % multiple_of / 2 if side > multiple_of else 0 for side in image.size)
    if not left and not top:
        return image
    right, bottom = image.width - math.ceil(left), image.height - math.ceil(top)
    return image.crop((math.floor(left), math.floor(top), right, bottom))


def resize_photos(
    photos: list[dict[str, Any]],
    output: Path,
    options: ResizeOptions,
    *,
    threads: int,
    events: Events,
) -> Metrics:
    """Write `images/` and `images.json` for the entries of photos.json.

    Raises PhotosError when fewer than three photos can be decoded.
    """
    _register_heif()
    # The limit on pixels was applied when the photos were found.
    Image.MAX_IMAGE_PIXELS = None
    folder = output / "images"
    folder.mkdir()
    (output / FOLDER).mkdir()
    entries: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    jobs = (
        (photo, Path(photo["path"]), folder / f"{index:05d}.jpg")
        for index, photo in enumerate(photos)
    )
    cameras: dict[tuple[Any, ...], int] = {}
    masked: list[str] = []
    whole: list[str] = []
    with ThreadPoolExecutor(threads) as pool:
        submitted = (
            (photo, target, pool.submit(_prepare, photo, source, target, options))
            for photo, source, target in jobs
        )
        for done, (photo, target, future) in enumerate(_windowed(submitted, 2 * threads)):
            outcome = future.result()
            if outcome.size is None:
                left_out.append({"name": photo["name"], "reason": outcome.reason})
                events.warning(f"{photo['name']} is left out: {outcome.reason}")
            else:
                entries.append(_describe(photo, target.name, outcome, cameras))
                (masked if outcome.masked else whole).append(photo["name"])
            events.progress((done + 1) / len(photos))
    if len(entries) < MIN_PHOTOS:
        raise _too_few(left_out, len(photos))
    if masked and whole:
        events.warning(f"no mask for {some_of(whole)}: the whole photo is used")
    still = 0
    if options.background is Background.AUTO and not masked:
        still = _leave_out_still_background(folder, entries, events)
    text = json.dumps({"images": entries}, indent=1, ensure_ascii=False)
    (output / "images.json").write_text(text, encoding="utf-8")
    return {
        "photos": len(entries),
        "left_out": left_out,
        "cameras": len(cameras),
        "masked": len(masked),
        "still_background": still,
        "megapixels_max": round(max(e["width"] * e["height"] for e in entries) / 1e6, 3),
    }


def _leave_out_still_background(folder: Path, entries: list[dict[str, Any]], events: Events) -> int:
    """Mask what stands still before a tripod; returns in how many photos."""
    order = sorted(range(len(entries)), key=lambda k: (entries[k]["time"] or "", k))
    groups = mask_still_background(folder, [entry["name"] for entry in entries], order)
    for entry in entries:
        numbers = [k for k, group in enumerate(groups) if entry["name"] in group]
        entry["tripod"] = numbers[0] if numbers else None
    count = sum(len(group) for group in groups)
    if count:
        events.warning(
            f"{count} photos show a subject turning in front of a camera on a tripod: the still "
            "background is ignored (use --background keep to keep it)"
        )
    return count


def _too_few(left_out: list[dict[str, str]], photos: int) -> PhotosError:
    """What is wrong with most of those that were left out."""
    reasons = Counter(file["reason"].partition(":")[0] for file in left_out)
    hidden = reasons[HIDDEN] + reasons[TRANSPARENT]
    if 2 * hidden > len(left_out):
        return PhotosError(
            f"masks or transparency hide {hidden} of {photos} photos completely; at least "
            f"{MIN_PHOTOS} photos are needed",
            hint="black pixels of a mask, and transparent pixels of a photo, are ignored: "
            "are they the wrong way round?",
        )
    return PhotosError(
        f"only {photos - len(left_out)} of {photos} photos can be decoded; "
        f"at least {MIN_PHOTOS} are needed",
        hint="copy the photos again from the camera, or take more",
    )


def _prepare(photo: dict[str, Any], source: Path, target: Path, options: ResizeOptions) -> Outcome:
    mask = photo.get("mask")
    return prepare_photo(
        source,
        target,
        options,
        mask=None if mask is None else Path(mask),
        orientation=photo.get("orientation", 1),
    )


def _windowed(
    items: Iterable[tuple[dict[str, Any], Path, Future[Outcome]]], size: int
) -> Iterator[tuple[dict[str, Any], Path, Future[Outcome]]]:
    """Yield in order while at most `size` photos are submitted ahead."""
    source = iter(items)
    window = list(islice(source, size))
    while window:
        yield window.pop(0)
        window.extend(islice(source, 1))


def _describe(
    photo: dict[str, Any],
    name: str,
    outcome: Outcome,
    cameras: dict[tuple[Any, ...], int],
) -> dict[str, Any]:
    size = outcome.size or (0, 0)
    focal_px = photo.get("focal_px")
    scale = outcome.longest_side / max(photo["width"], photo["height"])
    group = (
        photo.get("make"),
        photo.get("model"),
        photo.get("focal_mm"),
        photo.get("focal_35mm"),
        size,
    )
    return {
        "name": name,
        "source": photo["name"],
        "width": size[0],
        "height": size[1],
        "focal_px": None if focal_px is None else focal_px * scale,
        "camera": cameras.setdefault(group, len(cameras)),
        "gps": photo.get("gps"),
        "time": photo.get("time"),
    }


def _register_heif() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        # HEIC photos are then left out one by one, with Pillow's own message.
        return
    register_heif_opener()


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    photos = json.loads(request.photos.read_text(encoding="utf-8"))["photos"]
    options = parse_options(ResizeOptions, request.params)
    return resize_photos(photos, request.output, options, threads=request.threads, events=events)


if __name__ == "__main__":
    sys.exit(run_stage(main))
