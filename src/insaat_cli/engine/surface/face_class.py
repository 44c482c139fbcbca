"""Where each face of a mesh comes from: measured, completed, or closed.

Meshing, merging and simplifying know nothing of classes; the cloud does. So a face is asked for at
the end: it is what most points of the cloud nearest to it are, and where there are none it was
invented to close a hole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from insaat_cli.engine.surface.mesh_cleaning import face_areas
from insaat_cli.mesh_io.face_class import FaceClass
from insaat_cli.mesh_io.point_cloud import Cloud

Vertices = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]
Classes = npt.NDArray[np.uint8]

NEAREST = 5
"""So many points vote on a face."""


def face_classes(
    vertices: Vertices, faces: Faces, cloud: Cloud, reach: float, *, threads: int = 1
) -> Classes:
    """The `FaceClass` of each of the faces (F, 3).

    A face whose middle has no point of `cloud` within `reach` (world units) was closed.
    """
    middles = vertices[faces].mean(axis=1, dtype=np.float32)
    nearest = np.arange(1, min(NEAREST, len(cloud.points)) + 1)  # a list keeps the axis of just one
    distance, index = cKDTree(cloud.points).query(
        middles, k=nearest, distance_upper_bound=reach, workers=threads
    )
    found = np.isfinite(distance)
    votes = (found & cloud.completed[np.minimum(index, len(cloud.points) - 1)]).sum(axis=1)
    known = found.sum(axis=1)
    classes = np.where(2 * votes > known, FaceClass.COMPLETED, FaceClass.MEASURED)
    return np.where(known > 0, classes, FaceClass.CLOSED).astype(np.uint8)


def nearest_classes(middles: Vertices, mesh: tuple[Vertices, Faces, Classes]) -> Classes:
    """Of each place (N, 3) the class of the nearest face of a mesh: vertices, faces, classes.

    A texture parts vertices and puts faces in another order; places stay.
    """
    vertices, faces, classes = mesh
    _, nearest = cKDTree(vertices[faces].mean(axis=1)).query(middles)
    return np.asarray(classes[nearest])


def class_shares(vertices: Vertices, faces: Faces, classes: Classes) -> dict[str, float]:
    """Share of the area by class: `measured_share`, `completed_share`, `closed_share`."""
    area = np.bincount(classes, face_areas(vertices, faces), minlength=len(FaceClass))
    shares = area / max(float(area.sum()), 1e-30)
    return {f"{kind.name.lower()}_share": round(float(shares[kind]), 4) for kind in FaceClass}
