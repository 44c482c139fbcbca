"""From the facts of a run to advice in words. Decides only; measures nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insaat_cli.inspection.advice import Advice, Severity, advice_on
from insaat_cli.inspection.exposure_advice import blur, exposure
from insaat_cli.inspection.photo_facts import PhotoFacts, much_larger
from insaat_cli.inspection.surface_coverage import Coverage, Gap

WIDE_GAP_DEG = 60.0
FEW_POINTS_SHARE = 0.2
"""Of the set's median: a photo with so few points hangs on loosely."""
FEW_POINTS = 60
MIN_ERROR_PX = 1.0
"""A reprojection error below it is nothing to speak of."""
MUCH_UNSEEN = 0.3
SIDE_UNSEEN = 0.4
MIN_SIDE_WEIGHT = 0.05
SEEN_IN_PREVIEW = "as seen in the first preview picture"


def advise(
    photos: Sequence[PhotoFacts], coverage: Coverage | None = None, gap: Gap | None = None
) -> list[Advice]:
    """Everything worth saying after a run, the gravest first."""
    seen = [(photo, photo.tone) for photo in photos if photo.tone is not None]
    toned, tones = [photo for photo, _ in seen], [tone for _, tone in seen]
    found = [
        *_not_registered(photos),
        *_gap(photos, gap),
        *_unseen(coverage),
        *(blur(toned, tones) if toned else []),
        *_loose(photos),
        *(exposure(toned, tones) if toned else []),
    ]
    order = list(Severity)[::-1]
    return sorted(found, key=lambda advice: order.index(advice.severity))


def _not_registered(photos: Sequence[PhotoFacts]) -> list[Advice]:
    known = any(photo.matches for photo in photos)
    alone = [i for i, p in enumerate(photos) if p.registered is None and not p.matches and known]
    loose = [i for i, p in enumerate(photos) if p.registered is None and i not in alone]
    if not any(photo.registered for photo in photos):
        loose = []  # nothing was registered: that is another fault
    found = []
    if alone:
        text = "not registered because nothing in them matches another photo: {photos}. "
        text += "Retake them closer to their neighbours, overlapping these by two thirds"
        found.append(advice_on(Severity.WARNING, "unmatched", photos, alone, text))
    if loose:
        text = "not registered because they match too little: {photos}. Add photos in between"
        found.append(advice_on(Severity.WARNING, "not_registered", photos, loose, text))
    return found


def _gap(photos: Sequence[PhotoFacts], gap: Gap | None) -> list[Advice]:
    """`gap` counts the registered photos only."""
    if gap is None or gap.angle_deg < WIDE_GAP_DEG:
        return []
    registered = [i for i, photo in enumerate(photos) if photo.registered is not None]
    ends = sorted((registered[gap.before], registered[gap.after]))
    text = f"a gap of {gap.angle_deg:.0f} degrees around the subject, between {{photos}}: "
    text += f"add photos of the {gap.side} side ({SEEN_IN_PREVIEW})"
    return [advice_on(Severity.WARNING, "gap", photos, ends, text)]


def _unseen(coverage: Coverage | None) -> list[Advice]:
    if coverage is None:
        return []
    sides = [
        side
        for side, share in coverage.few_of.items()
        if share > SIDE_UNSEEN and coverage.weight_of[side] > MIN_SIDE_WEIGHT
    ]
    if not sides and coverage.few < MUCH_UNSEEN:
        return []
    text = f"{coverage.few:.0%} of the surface is seen by at most two photos"
    if sides:
        text += f": add photos of the {' and the '.join(sides)} ({SEEN_IN_PREVIEW})"
    else:
        text += ": add photos between those you took, with more overlap"
    return [Advice(severity=Severity.WARNING, kind="coverage", text=text)]


def _loose(photos: Sequence[PhotoFacts]) -> list[Advice]:
    registered = [
        (i, photo.registered) for i, photo in enumerate(photos) if photo.registered is not None
    ]
    if not registered:
        return []
    limit = max(FEW_POINTS, FEW_POINTS_SHARE * float(np.median([p.points for _, p in registered])))
    few = [i for i, p in registered if p.points < limit]
    errors = [p.error_px for _, p in registered]
    rough = [registered[k][0] for k in much_larger(errors) if errors[k] > MIN_ERROR_PX]
    found = []
    if few:
        text = "registered with few points: {photos}. Add photos next to them"
        found.append(advice_on(Severity.HINT, "few_points", photos, few, text))
    if rough:
        text = (
            "larger reprojection error than the others: {photos}. "
            "Something moved, or the zoom changed"
        )
        found.append(advice_on(Severity.HINT, "rough_fit", photos, rough, text))
    return found
