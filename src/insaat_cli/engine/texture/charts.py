"""Charts: connected faces textured from the same photo, and the vertices each has for itself."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from insaat_cli.engine.texture.adjacency import Adjacency
from insaat_cli.engine.texture.candidates import Candidates
from insaat_cli.engine.texture.labels import NO_PHOTO

MIN_FACES = 12
ABSORBING_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class Charts:
    """The mesh cut into charts. A chart vertex is a vertex of the mesh in one of its charts."""

    chart_of_face: NDArray[np.int32]
    """(F,); -1 for faces in no chart."""
    photo_of_chart: NDArray[np.int32]
    """(C,)"""
    corners: NDArray[np.int32]
    """(F, 3) chart vertices of each face; -1 for faces in no chart."""
    vertex: NDArray[np.int32]
    """(N,) mesh vertex of each chart vertex."""
    chart: NDArray[np.int32]
    """(N,) chart of each chart vertex; ascending."""

    def keeping(self, kept: NDArray[np.bool_]) -> Charts:
        """Only the charts in the mask `kept` (C,); the faces of the others are in no chart."""
        number = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
        stays = kept[self.chart]
        place = np.where(stays, np.cumsum(stays) - 1, -1).astype(np.int32)
        # The last entry is for faces that were in no chart already.
        return Charts(
            chart_of_face=np.append(number, np.int32(-1))[self.chart_of_face],
            photo_of_chart=self.photo_of_chart[kept],
            corners=np.append(place, np.int32(-1))[self.corners],
            vertex=self.vertex[stays],
            chart=number[self.chart[stays]],
        )


def absorb_small_charts(
    labels: NDArray[np.int32],
    candidates: Candidates,
    adjacency: Adjacency,
    *,
    min_faces: int = MIN_FACES,
) -> NDArray[np.int32]:
    """Give the faces of small charts to a neighbouring larger one whose photo sees them too."""
    labels = labels.copy()
    for _ in range(ABSORBING_ROUNDS):
        chart = _components(labels, adjacency)
        small = np.bincount(chart)[chart] < min_faces
        if not _absorb(
            np.flatnonzero(small & (labels != NO_PHOTO)), small, labels, candidates.count,
            candidates.photo, adjacency.neighbours,
        ):  # fmt: skip
            break
    return labels


def cut_charts(faces: NDArray[np.int32], labels: NDArray[np.int32], adjacency: Adjacency) -> Charts:
    """Cut the mesh along every edge between two photos."""
    component = _components(labels, adjacency)
    seen = labels != NO_PHOTO
    _, first, chart_of_seen = np.unique(component[seen], return_index=True, return_inverse=True)
    chart_of_face = np.full(len(faces), -1, np.int32)
    chart_of_face[seen] = chart_of_seen
    key = chart_of_seen[:, None].astype(np.int64) << 32 | faces[seen]
    chart_vertices, corner = np.unique(key, return_inverse=True)
    corners = np.full(faces.shape, -1, np.int32)
    corners[seen] = corner.reshape(-1, 3)
    return Charts(
        chart_of_face=chart_of_face,
        photo_of_chart=labels[seen][first],
        corners=corners,
        vertex=(chart_vertices & 0xFFFFFFFF).astype(np.int32),
        chart=(chart_vertices >> 32).astype(np.int32),
    )


def _components(labels: NDArray[np.int32], adjacency: Adjacency) -> NDArray[np.int32]:
    """(F,) component of every face under "neighbours of one label"."""
    a, b = adjacency.edge_faces.T
    same = labels[a] == labels[b]
    links = coo_matrix((np.ones(same.sum(), np.bool_), (a[same], b[same])), (len(labels),) * 2)
    return np.asarray(connected_components(links, directed=False)[1], np.int32)


@numba.njit(cache=True, nogil=True)
def _absorb(small_faces, small, labels, count, photos, neighbours):  # type: ignore[no-untyped-def]
    """Relabel the given faces like a neighbour; True if any changed.

    Faces of large charts count twice, so that a small chart dissolves into its surroundings.
    """
    changed = False
    for face in small_faces:
        best, best_votes = labels[face], 0
        for side in range(3):
            other = neighbours[face, side]
            if other < 0 or labels[other] < 0 or labels[other] == labels[face]:
                continue
            votes = 0
            for each in range(3):
                third = neighbours[face, each]
                if third >= 0 and labels[third] == labels[other]:
                    votes += 1 if small[third] else 2
            sees = False
            for k in range(count[face]):
                sees |= photos[face, k] == labels[other]
            if sees and votes > best_votes:
                best, best_votes = labels[other], votes
        if best != labels[face] and best_votes >= 2:
            labels[face] = best
            small[face] = False
            changed = True
    return changed
