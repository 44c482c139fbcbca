"""What one photo looks like: how sharp, how exposed, and its features at a small size."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

SHARPNESS_SIDE_PX = 1600
"""Blur is judged at this size: what is smaller than its pixels hardly helps a reconstruction."""
FEATURE_SIDE_PX = 800
MAX_FEATURES = 1200
USUAL_CONTRAST, MIN_CONTRAST = 50.0, 4.0
"""Standard deviation of the grey levels that every photo is brought to: dark is not blurred."""
NOISE_FLOOR = 20.0
"""Added to the coarse energy, so that an even surface does not count as sharp; grey levels
squared."""
BLOWN, BLACK = 250, 6
SECOND_DIFFERENCES = tuple(
    np.array(kernel, np.float32)
    for kernel in (
        [[0, 0, 0], [1, -2, 1], [0, 0, 0]],
        [[0, 1, 0], [0, -2, 0], [0, 1, 0]],
        [[1, 0, 0], [0, -2, 0], [0, 0, 1]],
        [[0, 0, 1], [0, -2, 0], [1, 0, 0]],
    )
)

Gray = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Tone:
    """How sharp and how bright a photo is."""

    sharpness: float
    """Fine over coarse detail in the least sharp direction; 0.1 to 0.5 for sharp photos, about a
    quarter of that for blurred ones."""
    blown: float
    """Share of pixels that are white."""
    black: float
    brightness_stops: float
    """Mean of the logarithm to base 2 of linear brightness."""


@dataclass(frozen=True, kw_only=True)
class Look(Tone):
    """What a photo looks like."""

    places: npt.NDArray[np.float32]
    """(n, 2) features, the strongest first, in shares of the longest side from the upper left
    corner."""
    descriptors: npt.NDArray[np.float32]
    """(n, 128), root-SIFT."""
    aspect: float
    """Height over width."""


def look_at(path: Path) -> Look:
    """Measure a photo. Raises OSError where it cannot be decoded."""
    gray = _read_gray(path)
    small = _resized(gray, FEATURE_SIDE_PX)
    detector: Any = cv2.SIFT.create(MAX_FEATURES, contrastThreshold=0.02)
    found = detector.detectAndCompute(small, None)
    strongest = np.argsort([-point.response for point in found[0]], kind="stable")
    places = np.array([found[0][i].pt for i in strongest], np.float32).reshape(-1, 2)
    descriptors = np.zeros((0, 128), np.float32) if found[1] is None else found[1][strongest]
    descriptors = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9))
    tone = _tone(gray, small)
    return Look(
        **asdict(tone),
        places=places / max(small.shape),
        descriptors=descriptors,
        aspect=gray.shape[0] / gray.shape[1],
    )


def tone_of(path: Path) -> Tone:
    """Sharpness and exposure alone, several times faster. Raises OSError as `look_at` does."""
    gray = _read_gray(path)
    return _tone(gray, _resized(gray, FEATURE_SIDE_PX))


def _tone(gray: Gray, small: Gray) -> Tone:
    shades = np.bincount(small.ravel(), minlength=256) / small.size
    stops = 2.2 * np.log2(np.maximum(np.arange(256), 1) / 255.0)
    return Tone(
        sharpness=sharpness(gray),
        blown=float(shades[BLOWN:].sum()),
        black=float(shades[: BLACK + 1].sum()),
        brightness_stops=float(shades @ stops),
    )


def sharpness(gray: Gray) -> float:
    """Energy of second differences at full size over that at half size, in the direction where it
    is least: a shake blurs along one direction only.

    The variance of the Laplacian (Pech-Pacheco et al. 2000) depends on what is in the picture; its
    ratio over two scales mostly does not.
    """
    contrast = max(float(gray.std()), MIN_CONTRAST)
    even = gray.astype(np.float32) * np.float32(USUAL_CONTRAST / contrast)
    half = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return min(
        float(cv2.filter2D(even, cv2.CV_32F, kernel).var())
        / (float(cv2.filter2D(half, cv2.CV_32F, kernel).var()) + NOISE_FLOOR)
        for kernel in SECOND_DIFFERENCES
    )


def _read_gray(path: Path) -> Gray:
    with Image.open(path) as picture:
        picture.draft("L", (SHARPNESS_SIDE_PX, SHARPNESS_SIDE_PX))
        upright = ImageOps.exif_transpose(picture).convert("L")
    return _resized(np.asarray(upright), SHARPNESS_SIDE_PX)


def _resized(gray: Gray, longest_px: int) -> Gray:
    share = longest_px / max(gray.shape)
    if share >= 1:
        return gray
    size = (max(1, round(gray.shape[1] * share)), max(1, round(gray.shape[0] * share)))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
