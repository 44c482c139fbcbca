"""Faces that the photos contradict: seen from behind, or standing in space that they look through.

A camera outside a solid sees only the front of its surface, so a face whose back fills the pixels
of a photo cannot be there: flakes of stray depth float like that above the surface, and a photo
that saw past them would be painted onto them. A face before the depth that a photo measured
contradicts it in the same way. This is the visibility constraint of space carving (Kutulakos and
Seitz, "A theory of shape by space carving", 2000), asked of the faces of a mesh.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.raster import rasterize
from insaat_cli.engine.views import View

Vertices = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]
Depth = npt.NDArray[np.float32]

LOOKED_THROUGH = 0.02
"""A photo looks through a face if it measured a depth larger by this share."""
FEWEST_VIEWS = 2
"""So many photos must see more against a face than for it."""


def contradicted(
    vertices: Vertices,
    faces: Faces,
    maps: Iterable[tuple[View, Depth]],
    *,
    threads: int = 1,
) -> npt.NDArray[np.bool_]:
    """Which faces (F,) have more pixels against them than for them; maps are read one at a time.

    A depth of 0 is unknown and speaks for what the mesh shows there, if from its front.
    """
    pro = np.zeros(len(faces), np.int64)
    con = np.zeros(len(faces), np.int64)
    views_against = np.zeros(len(faces), np.int32)
    for view, depth in maps:
        for_it, against = _pixels(vertices, faces, view, depth, threads)
        pro += for_it
        con += against
        views_against += against > for_it
    return np.asarray((con > pro) & (views_against >= FEWEST_VIEWS))


def _pixels(
    vertices: Vertices, faces: Faces, view: View, depth: Depth, threads: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many of the pixels in which one view sees each face speak for it and against it."""
    in_camera = vertices @ view.R.T + view.t
    K = view.K.copy()
    K[:2, 2] += 0.5  # the rasteriser's pixel centres are at +0.5, a view's at 0
    raster = rasterize(in_camera, faces, K, depth.shape[1], depth.shape[0], threads=threads)
    seen = raster.face >= 0
    face = raster.face[seen]
    a, b, c = (in_camera[faces[:, k]] for k in range(3))
    from_front = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
    speaks_for = from_front[face]
    speaks_for &= depth[seen] <= (1 + LOOKED_THROUGH) * raster.depth[seen]
    return (
        np.bincount(face[speaks_for], minlength=len(faces)),
        np.bincount(face[~speaks_for], minlength=len(faces)),
    )
