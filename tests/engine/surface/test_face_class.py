"""A face is what most points near it are; without points it was invented."""

import numpy as np
import pytest

from insaat_cli.engine.surface.face_class import class_shares, face_classes, nearest_classes
from insaat_cli.mesh_io.face_class import FaceClass
from insaat_cli.mesh_io.point_cloud import Cloud

SIDE = 0.05


def strip() -> tuple[np.ndarray, np.ndarray, Cloud]:
    """A strip along x from 0 to 3 of two triangles a unit; points on its first two thirds, those of
    the second completed."""
    vertices = np.float32([[x, y, 0] for x in range(4) for y in range(2)])
    faces = np.int32([f for i in (0, 2, 4) for f in ([i, i + 2, i + 1], [i + 1, i + 2, i + 3])])
    x, y = np.meshgrid(np.arange(0, 2, SIDE), np.arange(0, 1, SIDE))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1).astype(np.float32)
    normals = np.tile(np.float32([0, 0, 1]), (len(points), 1))
    return vertices, faces, Cloud(
        points=points,
        normals=normals,
        colors=np.zeros((len(points), 3), np.uint8),
        completed=points[:, 0] >= 1,
    )  # fmt: skip


def test_measured_completed_and_closed_are_told_apart():
    vertices, faces, cloud = strip()
    classes = face_classes(vertices, faces, cloud, 2 * SIDE)
    kinds = [FaceClass.MEASURED] * 2 + [FaceClass.COMPLETED] * 2 + [FaceClass.CLOSED] * 2
    assert classes.tolist() == kinds
    assert class_shares(vertices, faces, classes) == pytest.approx(
        {"measured_share": 1 / 3, "completed_share": 1 / 3, "closed_share": 1 / 3}, abs=1e-4
    )


def test_other_faces_at_the_same_places_are_of_the_same_class():
    vertices, faces, cloud = strip()
    classes = face_classes(vertices, faces, cloud, 2 * SIDE)
    order = np.random.default_rng(0).permutation(len(faces))
    middles = vertices[faces[order]].mean(axis=1) + np.float32([0.01, 0, 0.02])
    assert nearest_classes(middles, (vertices, faces, classes)).tolist() == classes[order].tolist()
