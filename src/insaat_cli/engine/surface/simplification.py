"""Fewer faces, the flattest parts first: quadric edge collapse (Garland and Heckbert 1997)."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.surface.edge_collapse import collapse
from insaat_cli.mesh_io.ply import read_mesh, write_mesh

Floats = npt.NDArray[np.floating[Any]]
Faces = npt.NDArray[np.integer[Any]]


def fewer_faces(
    vertices: Floats, faces: Faces, most: int, *, threads: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """At most `most` faces of the mesh (V, 3), (F, 3), and only the vertices that they need.

    As pycolmap does it; without it our own, which takes five times as long and leaves borders as
    they are. Borders keep their course in both.
    """
    vertices = np.asarray(vertices, np.float32)
    if len(faces) <= most:
        return vertices, np.asarray(faces, np.int32)
    if find_spec("pycolmap") is None:  # no wheel for this platform
        fewer = collapse(vertices.astype(np.float64), np.zeros((len(vertices), 2)),
                         np.asarray(faces, np.int64), most)  # fmt: skip
        used, fewer = np.unique(fewer, return_inverse=True)
        return vertices[used], fewer.reshape(-1, 3).astype(np.int32)
    from insaat_cli.engine.colmap.pycolmap_door import pycolmap

    with tempfile.TemporaryDirectory(prefix="insaat-") as folder:
        before, after = Path(folder) / "before.ply", Path(folder) / "after.ply"
        write_mesh(before, vertices, np.asarray(faces, np.int32))
        options = pycolmap.MeshSimplificationOptions()
        options.target_face_ratio = most / len(faces)
        options.num_threads = threads
        pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
        pycolmap.simplify_mesh(before, after, options)
        return read_mesh(after)
