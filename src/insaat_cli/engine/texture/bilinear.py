"""Colors between the pixels of an image."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


def sample(color: NDArray[np.uint8], texel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bilinear colors (..., 3) of an image at texel positions (..., 2), centres at +0.5."""
    flat = np.ascontiguousarray(texel.reshape(-1, 2))
    out = np.empty((len(flat), 3))
    _sample(color, flat, out)
    return out.reshape(*texel.shape[:-1], 3)


@numba.njit(cache=True, nogil=True)
def _sample(color, texel, out):  # type: ignore[no-untyped-def]
    height, width = color.shape[:2]
    for i in range(len(texel)):
        x = min(max(texel[i, 0] - 0.5, 0.0), width - 1.0)
        y = min(max(texel[i, 1] - 0.5, 0.0), height - 1.0)
        x0, y0 = int(x), int(y)
        x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
        fx, fy = x - x0, y - y0
        for k in range(3):
            top = (1 - fx) * color[y0, x0, k] + fx * color[y0, x1, k]
            bottom = (1 - fx) * color[y1, x0, k] + fx * color[y1, x1, k]
            out[i, k] = (1 - fy) * top + fy * bottom
