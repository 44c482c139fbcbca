"""What the sparse model says of each photo, and a picture of its points from above."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.colmap.model_files import read_model
from insaat_cli.inspection.photo_facts import Registration

LONGEST_TRACK = 40
"""A point seen by more photos would only say again that all of these see the same thing."""
PLAN_PX = 640
PLAN_REACH_PERCENT = 98.0
PLAN_ROOM = 1.06


@dataclass(frozen=True, kw_only=True)
class SparseFacts:
    """A sparse model, by the names of the working copies."""

    registered: dict[str, Registration]
    shared: dict[tuple[str, str], int]
    """Points that two photos both see."""
    points: NDArray[np.float64]
    """(N, 3), Y up."""
    colors: NDArray[np.uint8]
    """(N, 3)."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The points from above: x to the right, z towards the reader, the origin in the middle."""

    pixels: NDArray[np.uint8]
    """(H, W, 4)."""
    reach: float
    """Half the side of the picture, in world units."""


def read_sparse(model: Path) -> SparseFacts:
    """Read a COLMAP model folder. Raises StageError where there is none."""
    found = read_model(model)
    points = found.points
    registered = {}
    for image in found.images.values():
        rows = np.isin(points.ids, image.point_ids)
        registered[image.name] = Registration(
            points=int(rows.sum()),
            track_length=float(points.lengths[rows].mean()) if rows.any() else 0.0,
            error_px=float(points.errors[rows].mean()) if rows.any() else 0.0,
        )
    shared: Counter[tuple[str, str]] = Counter()
    names = {key: image.name for key, image in found.images.items()}
    for row in range(len(points)):
        ids = sorted(set(points.track(row)[0].tolist()))
        if len(ids) <= LONGEST_TRACK:
            shared.update((names[a], names[b]) for a, b in combinations(ids, 2))
    return SparseFacts(
        registered=registered, shared=dict(shared), points=points.positions, colors=points.colors
    )


def plan_of(facts: SparseFacts, centers: NDArray[np.float64]) -> Plan:
    """Draw the points from above, as far out as the cameras `centers` (N, 3) and most points."""
    reaches = [np.abs(centers[:, [0, 2]]).max(initial=0.0)]
    if len(facts.points):
        reaches.append(np.percentile(np.abs(facts.points[:, [0, 2]]), PLAN_REACH_PERCENT))
    reach = float(max(reaches)) * PLAN_ROOM or 1.0
    pixels = np.zeros((PLAN_PX, PLAN_PX, 4), np.uint8)
    upwards = np.argsort(facts.points[:, 1], kind="stable")  # what lies higher is drawn last
    at = ((facts.points[upwards][:, [0, 2]] / reach + 1) / 2 * PLAN_PX).astype(int)
    colors = np.concatenate([facts.colors[upwards], np.full((len(at), 1), 230, np.uint8)], axis=1)
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = (at + shift).T
        inside = (column >= 0) & (column < PLAN_PX) & (row >= 0) & (row < PLAN_PX)
        pixels[row[inside], column[inside]] = colors[inside]
    return Plan(pixels=pixels, reach=reach)
