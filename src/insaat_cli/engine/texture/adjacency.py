"""Which faces of a mesh share an edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_NEIGHBOUR = -1


@dataclass(frozen=True, kw_only=True)
class Adjacency:
    """Edges between two faces, listed by edge and by face."""

    edge_vertices: NDArray[np.int32]
    """(E, 2) ends of each edge that two faces share."""
    edge_faces: NDArray[np.int32]
    """(E, 2) the two faces."""
    neighbours: NDArray[np.int32]
    """(F, 3) face across each side of a face, sides in any order; -1 where there is none."""


def face_adjacency(faces: NDArray[np.int32]) -> Adjacency:
    """Pair the faces (F, 3) over their shared edges.

    Of the faces at a non-manifold edge, consecutive ones are paired, so every side of a face has
    one neighbour at most.
    """
    count = len(faces)
    sides = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    low, high = sides.min(axis=1).astype(np.int64), sides.max(axis=1).astype(np.int64)
    key = low << 32 | high
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    run_start = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    place_in_run = np.arange(len(order)) - np.repeat(
        run_start, np.diff(np.r_[run_start, len(order)])
    )
    same_as_next = np.r_[ordered[1:] == ordered[:-1], False]
    first = np.flatnonzero(same_as_next & (place_in_run % 2 == 0))
    side_a, side_b = order[first], order[first + 1]
    face_a, face_b = side_a // 3, side_b // 3
    neighbours = np.full(3 * count, NO_NEIGHBOUR, dtype=np.int32)
    neighbours[side_a] = face_b
    neighbours[side_b] = face_a
    return Adjacency(
        edge_vertices=np.stack([low[side_a], high[side_a]], axis=1).astype(np.int32),
        edge_faces=np.stack([face_a, face_b], axis=1).astype(np.int32),
        neighbours=neighbours.reshape(count, 3),
    )
