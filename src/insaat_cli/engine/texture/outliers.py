"""Photos that disagree with the others about a face: someone walking through, a reflection.

Waechter et al. (section 3.1) fit a Gaussian to the colors that the photos show on a face and
drop what lies far from it. With the few photos of a face, the median and the median distance to it
say the same and cannot be drawn away by the outlier.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.texture.candidates import Candidates

MIN_PHOTOS = 3
"""Of two photos that disagree, nobody knows which is right."""
TOLERATED_LEVELS = 25.0
"""Color distance (of 8-bit levels) always tolerated: shading, exposure, small shifts."""
TOLERATED_SPREADS = 3.5
"""Distance tolerated in units of the median distance."""


def reject_outliers(candidates: Candidates) -> NDArray[np.int32]:
    """Remove, in place, the photos that disagree; returns how many each face (F,) lost."""
    rejected = np.zeros(len(candidates.count), np.int32)
    _reject(candidates.count, candidates.photo, candidates.quality, candidates.color, rejected)
    return rejected


@numba.njit(cache=True, nogil=True)
def _median(values, n):  # type: ignore[no-untyped-def]
    """Median of the first n values, which it sorts; numpy's takes a second longer to compile."""
    for i in range(1, n):
        value = values[i]
        k = i
        while k > 0 and values[k - 1] > value:
            values[k] = values[k - 1]
            k -= 1
        values[k] = value
    return 0.5 * (values[(n - 1) // 2] + values[n // 2])


@numba.njit(cache=True, nogil=True)
def _reject(count, photos, qualities, colors, rejected):  # type: ignore[no-untyped-def]
    most = photos.shape[1]
    values = np.empty(most)
    median = np.empty(3)
    distance = np.empty(most)
    for face in range(len(count)):
        n = count[face]
        if n < MIN_PHOTOS:
            continue
        for c in range(3):
            for k in range(n):
                values[k] = colors[face, k, c]
            median[c] = _median(values, n)
        for k in range(n):
            total = 0.0
            for c in range(3):
                total += (colors[face, k, c] - median[c]) ** 2
            distance[k] = np.sqrt(total)
            values[k] = distance[k]
        limit = max(TOLERATED_LEVELS, TOLERATED_SPREADS * _median(values, n))
        kept = 0
        for k in range(n):
            if distance[k] <= limit:
                photos[face, kept] = photos[face, k]
                qualities[face, kept] = qualities[face, k]
                for c in range(3):
                    colors[face, kept, c] = colors[face, k, c]
                kept += 1
        count[face] = kept
        rejected[face] = n - kept
