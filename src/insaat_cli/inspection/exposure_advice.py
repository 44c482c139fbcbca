"""Advice from how sharp and how bright photos are. Decides only; measures nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insaat_cli.inspection.advice import Advice, Named, Severity, advice_on
from insaat_cli.inspection.photo_quality import Tone

BLURRED_SHARE = 0.5
"""Of the set's median sharpness."""
BLURRED = 0.05
"""Whatever the others are like."""
CLIPPED_ABOVE_SET = 0.25
CLIPPED = 0.6
STOPS_FROM_SET = 1.7
MAX_BLURRED = 0.5


def blur(photos: Sequence[Named], looks: Sequence[Tone]) -> list[Advice]:
    """Photos without fine detail."""
    values = np.array([look.sharpness for look in looks])
    limit = max(BLURRED, BLURRED_SHARE * float(np.median(values)))
    blurred = np.flatnonzero(values < limit).tolist()
    if not blurred:
        return []
    most = len(blurred) > MAX_BLURRED * len(photos)
    text = "blurred: {photos}. Retake them with a steadier hand, more light or a faster shutter"
    severity = Severity.UNUSABLE if most else Severity.WARNING
    return [advice_on(severity, "blur", photos, blurred, text)]


def exposure(photos: Sequence[Named], looks: Sequence[Tone]) -> list[Advice]:
    """Photos with lost highlights or shadows, or unlike the others."""
    found = []
    for kind, word in (("blown", "too bright"), ("black", "too dark")):
        values = np.array([getattr(look, kind) for look in looks])
        limit = min(CLIPPED, float(np.median(values)) + CLIPPED_ABOVE_SET)
        clipped = np.flatnonzero(values > limit).tolist()
        if clipped:
            text = f"large areas are {word} to show detail: {{photos}}. Correct the exposure"
            found.append(advice_on(Severity.WARNING, kind, photos, clipped, text))
    stops = np.array([look.brightness_stops for look in looks])
    odd = np.flatnonzero(np.abs(stops - np.median(stops)) > STOPS_FROM_SET).tolist()
    if odd:
        text = "much brighter or darker than the others: {photos}. Lock the exposure"
        found.append(advice_on(Severity.HINT, "exposure", photos, odd, text))
    return found
