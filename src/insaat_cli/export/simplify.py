"""Fewer faces, smaller textures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from insaat_cli.engine.surface.edge_collapse import collapse
from insaat_cli.mesh_io.model import Faces, Floats, Model, Part, vertex_colors

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


def colored_like(vertices: Floats, faces: Faces, model: Model) -> Part:
    """The new shape with the colors of the nearest places of `model`."""
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
