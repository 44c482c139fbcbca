"""Pictures made small and put into the page itself, as data: addresses."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PREVIEW_MAX_PX = 2000
THUMBNAIL_PX = 200
PREVIEW_QUALITY = 88
THUMBNAIL_QUALITY = 72


def picture(path: Path) -> str:
    """The preview, small enough for a page and large enough for a screen."""
    return _embedded(path, PREVIEW_MAX_PX, PREVIEW_QUALITY) or ""


def thumbnail(path: Path) -> str | None:
    """A photo for the contact sheet; None where it cannot be read."""
    return _embedded(path, THUMBNAIL_PX, THUMBNAIL_QUALITY)


def png(path: Path) -> str | None:
    """A small picture of ours as it is, with its transparent parts; None where it is no PNG."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if not data.startswith(PNG_MAGIC):
        return None
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _embedded(path: Path, side_px: int, quality: int) -> str | None:
    try:
        with Image.open(path) as image:
            image.draft("RGB", (side_px, side_px))  # JPEG: decode at a fraction of the size
            image.thumbnail((side_px, side_px))
            small = _on_white(image)
    except (OSError, ValueError, SyntaxError):
        return None
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")
