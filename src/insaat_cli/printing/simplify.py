"""Fewer faces, smaller textures."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from insaat_cli.models.mesh import Faces, Floats, Model, Part, vertex_colors
from insaat_cli.printing.collapse import collapse

NEAREST = 3


def smaller_textures(model: Model, longest_px: int) -> Model:
    """No texture with a side above `longest_px`."""
    parts = []
    for part in model.parts:
        texture = part.texture
        if texture is not None and max(texture.size) > longest_px:
            texture = texture.copy()
            texture.thumbnail((longest_px, longest_px))
        parts.append(replace(part, texture=texture))
    return replace(model, parts=tuple(parts))


def fewer_faces(
    vertices: Floats, faces: Faces, max_faces: int, threads: int
) -> tuple[Floats, Faces]:
    """Quadric edge collapse (Garland and Heckbert 1997), as pycolmap does it; without it our own,
    which leaves borders as they are."""
    if len(faces) <= max_faces:
        return vertices, faces
    if find_spec("pycolmap") is None:  # no wheel for this platform
        faces = collapse(vertices, np.zeros((len(vertices), 2)), faces, max_faces)
        used, faces = np.unique(faces, return_inverse=True)
        return vertices[used], faces.reshape(-1, 3)
    from insaat_cli.engine.pycolmap_door import pycolmap

    with tempfile.TemporaryDirectory(prefix="insaat-") as folder:
        before, after = Path(folder) / "before.ply", Path(folder) / "after.ply"
        trimesh.Trimesh(vertices, faces, process=False).export(before)
        options = pycolmap.MeshSimplificationOptions()
        options.target_face_ratio = max_faces / len(faces)
        options.num_threads = threads
        pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
        pycolmap.simplify_mesh(before, after, options)
        mesh = trimesh.load_mesh(after, process=False)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)


def fewer_textured_faces(model: Model, max_faces: int) -> Model:
    """Fewer faces under the same textures, as few as their seams allow."""
    share = max_faces / model.faces
    return replace(model, parts=tuple(_reduced(part, share) for part in model.parts))


def _reduced(part: Part, share: float) -> Part:
    uv = np.zeros((len(part.vertices), 2)) if part.uv is None else part.uv
    faces = collapse(part.vertices, uv, part.faces, int(len(part.faces) * share))
    used, faces = np.unique(faces, return_inverse=True)
    return replace(
        part,
        vertices=part.vertices[used],
        faces=faces.reshape(-1, 3),
        uv=None if part.uv is None else part.uv[used],
        colors=None if part.colors is None else part.colors[used],
    )


def coloured_like(vertices: Floats, faces: Faces, model: Model) -> Part:
    """The new shape with the colours of the nearest places of `model`."""
    found = [vertex_colors(part) for part in model.parts]
    if any(colors is None for colors in found):
        return Part(vertices=vertices, faces=faces)
    places = np.concatenate([part.vertices for part in model.parts])
    shades = np.concatenate([colors for colors in found if colors is not None])
    distance, nearest = cKDTree(places).query(vertices, k=min(NEAREST, len(places)))
    nearest = nearest.reshape(len(vertices), -1)
    weight = 1 / np.maximum(distance.reshape(nearest.shape), 1e-9)
    weight /= weight.sum(axis=1, keepdims=True)
    mean = np.einsum("vk,vkc->vc", weight, shades[nearest].astype(np.float64))
    return Part(vertices=vertices, faces=faces, colors=np.rint(mean).astype(np.uint8))
