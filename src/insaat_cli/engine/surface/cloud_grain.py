"""How fine a surface a cloud can carry: spacing of its points, thickness of the layer they form.

Points that were measured well lie on the surface, and their spacing says how much of it is known.
Points measured badly, from photos taken close together above all, lie in a layer as thick as the
depth is uncertain. A grid finer than that layer finds many surfaces in it, all of them noise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float32]

SPACING_SAMPLE = 20_000
SPACING_NEIGHBOURS = 4
THICKNESS_SAMPLE = 3_000
THICKNESS_REACH = 4.0
"""A layer's thickness is taken within so many spacings, where even a detailed surface is flat."""
MIN_AROUND = 12


def typical_spacing(tree: cKDTree, threads: int) -> float:
    """Median distance between neighbouring points, over a sample of the tree's."""
    sample = tree.data[:: max(1, tree.n // SPACING_SAMPLE)]
    distance, _ = tree.query(sample, k=SPACING_NEIGHBOURS + 1, workers=threads)
    return float(np.median(distance[:, 1:].mean(axis=1)))


def typical_thickness(tree: cKDTree, spacing: float, threads: int) -> float:
    """Median standard deviation of points from the plane through those around, over a sample.

    0 where too few points lie together to tell.
    """
    sample = tree.data[:: max(1, tree.n // THICKNESS_SAMPLE)]
    around = tree.query_ball_point(sample, THICKNESS_REACH * spacing, workers=threads)
    spreads = []
    for near in around:
        if len(near) >= MIN_AROUND:
            points = tree.data[near]
            spreads.append(np.linalg.eigvalsh(np.cov(points, rowvar=False))[0])
    return float(np.sqrt(max(np.median(spreads), 0.0))) if spreads else 0.0


def occupied_cells(points: Floats, side: float) -> int:
    """How many cells of this side hold points."""
    index = np.floor((points - points.min(axis=0)) / np.float32(side)).astype(np.int64)
    return len(np.unique((index[:, 0] << 42) | (index[:, 1] << 21) | index[:, 2]))
