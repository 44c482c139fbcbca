"""Faces in no chart: charts too small to be worth their room, and what no photo saw.

A face of a small chart takes its colors from its photo, evened out against the charts around it as
Poisson editing would (Perez et al. 2003): the photo's differences stay, and at the rim it meets its
neighbours' colors. What no photo saw gets colors spread from around it (`unseen`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.texture.bilinear import sample
from insaat_cli.engine.texture.cells import INNER_WEIGHTS
from insaat_cli.engine.texture.labels import NO_PHOTO
from insaat_cli.engine.texture.photo import Photo
from insaat_cli.engine.texture.unseen import spread_colors

BELIEVED_STEP = 60.0
"""What a photo differs by from the chart beside it, in 8-bit levels, if that is exposure. More is
the outline of something, and must not be carried inwards."""
CORNERS = np.argmax(INNER_WEIGHTS, axis=0)
"""Which of a cell's inner texels are at its corners."""


class LooseFaces:
    """The faces in no chart, and their colors in the photos."""

    def __init__(
        self,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int32],
        photo: NDArray[np.int32],
    ) -> None:
        """`faces` (L, 3) into `vertices` (V, 3), and the photo (L,) of each, -1 if none saw it."""
        self.vertices = vertices
        self.faces = faces
        self.photo = photo
        self.color = np.zeros((len(faces), len(INNER_WEIGHTS), 3), np.float32)

    def wants(self, photo: int) -> bool:
        """Whether any face has its colors from this photo."""
        return bool((self.photo == photo).any())

    def look(self, index: int, photo: Photo, pixels: NDArray[np.uint8]) -> None:
        """Take the colors of this photo's faces from its `pixels`, at whatever scale those are."""
        mine = np.flatnonzero(self.photo == index)
        corners = photo.project(self.vertices[self.faces[mine].ravel()])
        height, width = pixels.shape[:2]
        corners *= [width / photo.width, height / photo.height]
        places = np.einsum("tk,fkx->ftx", INNER_WEIGHTS, corners.reshape(-1, 3, 2))
        self.color[mine] = sample(pixels, places)

    def colors(
        self, known: NDArray[np.int32], known_color: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(L, 6, 3) for the cells, given the colors (M, 3) of the charts' mesh vertices (M,).

        `known` may repeat a vertex.
        """
        count = len(self.vertices)
        beside, has_beside = _means(known, known_color, count)
        shown = self.photo != NO_PHOTO
        faces, color = self.faces[shown], self.color[shown]
        corner = color[:, CORNERS].astype(np.float64)
        own, has_own = _means(faces.ravel(), corner.reshape(-1, 3), count)
        meeting = np.flatnonzero(has_own & has_beside)
        step = beside[meeting] - own[meeting]
        step /= 1.0 + (np.linalg.norm(step, axis=1, keepdims=True) / BELIEVED_STEP) ** 4
        wanted = own + spread_colors(faces, count, meeting, step, otherwise=0.0)
        found = self.color.copy()
        found[shown] += np.einsum("tk,fkc->ftc", INNER_WEIGHTS, wanted[faces] - corner)
        beside[has_own & ~has_beside] = wanted[has_own & ~has_beside]
        around = np.flatnonzero(has_own | has_beside)
        blank = self.faces[~shown]
        spread = spread_colors(blank, count, around, beside[around])
        found[~shown] = np.einsum("tk,fkc->ftc", INNER_WEIGHTS, spread[blank])
        return found


def _means(
    vertex: NDArray[np.int32], color: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(V, 3) mean of the colors (M, 3) at each vertex (M,), and which vertices have any."""
    weight = np.bincount(vertex, minlength=count)
    total = np.stack([np.bincount(vertex, color[:, k], count) for k in range(3)], axis=1)
    return total / np.maximum(weight, 1)[:, None], weight > 0
