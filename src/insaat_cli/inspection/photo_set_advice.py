"""From measurements to advice in words. Decides only; measures nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, shortest_path

from insaat_cli.formatting import counted
from insaat_cli.inspection.advice import Advice, Severity, advice_on
from insaat_cli.inspection.exposure_advice import blur, exposure
from insaat_cli.inspection.photo_overlap import Link
from insaat_cli.inspection.photo_quality import Look
from insaat_cli.photos.photo_set import Photo

SAME_PLACE = 0.006
"""Shift of the matches, of the longest side, below which two photos stand at the same place."""
SAME_VIEW_OVERLAP = 0.5
STRONG_MATCHES = 30
MIN_LINKS = 2
MIN_JOINED = 0.6
"""Share of the photos that must hang together for a model."""
MIN_WALK = 5
WALK_SHARE = 0.6
"""Least share of steps between photos that follow each other that must be small for a walk."""
MIN_DETOUR = 4
FOCAL_DIGITS = 2


def advise(photos: Sequence[Photo], looks: Sequence[Look], links: Sequence[Link]) -> list[Advice]:
    """Everything worth saying about the set, the gravest first."""
    apart = _groups(photos, links)
    found = [
        *blur(photos, looks),
        *exposure(photos, looks),
        *_cameras(photos),
        *_same_places(photos, links),
        *(apart or _gaps(photos, links)),
    ]
    return sorted(found, key=lambda advice: list(Severity)[::-1].index(advice.severity))


def _cameras(photos: Sequence[Photo]) -> list[Advice]:
    found = []
    kinds = [
        (photo.make, photo.model, max(photo.width, photo.height), min(photo.width, photo.height))
        for photo in photos
    ]
    if len(set(kinds)) > 1:
        usual = Counter(kinds).most_common(1)[0][0]
        others = [i for i, kind in enumerate(kinds) if kind != usual]
        text = (
            f"{len(set(kinds))} different cameras or image sizes; the exceptions are {{photos}}. "
        )
        text += "This works, but one camera at full resolution is better; avoid cropped photos"
        found.append(advice_on(Severity.HINT, "cameras", photos, others, text))
    focals = [photo.focal_mm and float(f"{photo.focal_mm:.{FOCAL_DIGITS}g}") for photo in photos]
    known = Counter(focal for focal in focals if focal)
    if len(known) > 1:
        usual_focal = known.most_common(1)[0][0]
        zoomed = [i for i, focal in enumerate(focals) if focal and focal != usual_focal]
        text = f"taken at a different zoom than the usual {usual_focal:g} mm: {{photos}}. "
        text += "Do not zoom between photos"
        found.append(advice_on(Severity.HINT, "focal_length", photos, zoomed, text))
    return found


def _same_places(photos: Sequence[Photo], links: Sequence[Link]) -> list[Advice]:
    same = sorted(
        {
            one.second
            for one in links
            if one.shift < SAME_PLACE
            and one.overlap > SAME_VIEW_OVERLAP
            and one.matches >= STRONG_MATCHES
        }
    )
    if not same:
        return []
    text = "taken from the same place as another photo: {photos}. Step sideways between photos"
    return [advice_on(Severity.HINT, "same_place", photos, same, text)]


def _groups(photos: Sequence[Photo], links: Sequence[Link]) -> list[Advice]:
    count = len(photos)
    ends = np.array([(one.first, one.second) for one in links], np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), (count, count))
    _, labels = connected_components(graph, directed=False)
    sizes = Counter(labels.tolist())
    largest = sizes.most_common(1)[0][0]
    apart = np.flatnonzero(labels != largest).tolist()
    if apart:
        enough = sizes[largest] >= MIN_JOINED * count
        text = f"{{photos}} do not overlap the other {counted(sizes[largest], 'photo')}. "
        text += "Add photos in between, each overlapping the previous one by at least half"
        severity = Severity.WARNING if enough else Severity.APART
        return [advice_on(severity, "apart", photos, apart, text)]
    degree = np.bincount(ends.ravel(), minlength=count)
    weak = np.flatnonzero(degree < MIN_LINKS).tolist()
    if weak and count > MIN_LINKS:
        text = "overlapping only one other photo: {photos}. Add photos next to them"
        return [advice_on(Severity.WARNING, "few_neighbours", photos, weak, text)]
    return []


def _gaps(photos: Sequence[Photo], links: Sequence[Link]) -> list[Advice]:
    """Steps between photos that follow each other which nothing else bridges."""
    count = len(photos)
    strong = [one for one in links if one.matches >= STRONG_MATCHES]
    steps = {one.first for one in strong if one.second == one.first + 1}
    if count < MIN_WALK or len(steps) < WALK_SHARE * (count - 1):
        return []  # not a walk: the order of the photos says nothing
    detour = _hops(count, strong)
    far = max(MIN_DETOUR, count // 4)
    found = []
    for i in sorted(set(range(count - 1)) - steps):
        if detour[i, i + 1] > far:
            text = "large gap between {photos}: add one or two photos in between"
            found.append(advice_on(Severity.WARNING, "gap", photos, [i, i + 1], text))
    if count >= 2 * MIN_WALK and not found and detour[0, count - 1] > count // 3:
        text = (
            "the first and last photos do not overlap ({photos}). If you walked around the "
            "subject, the side between them is missing"
        )
        found.append(advice_on(Severity.HINT, "open_ring", photos, [0, count - 1], text))
    return found


def _hops(count: int, links: Sequence[Link]) -> npt.NDArray[np.float64]:
    """(n, n): over how many links one photo is reached from another."""
    ends = np.array([(one.first, one.second) for one in links], np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (count, count))
    hops: npt.NDArray[np.float64] = shortest_path(graph.tocsr(), directed=False, unweighted=True)
    return hops
