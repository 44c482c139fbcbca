"""Two photos of one wall, one brighter: the seam between them must vanish."""

from __future__ import annotations

import numpy as np

from insaat_cli.engine.texture.adjacency import face_adjacency
from insaat_cli.engine.texture.atlas import copy_patches
from insaat_cli.engine.texture.bilinear import sample
from insaat_cli.engine.texture.charts import cut_charts
from insaat_cli.engine.texture.layout import plan_layout
from insaat_cli.engine.texture.levelling import apply_offsets, solve_offsets
from insaat_cli.engine.texture.seams import find_seams, smooth_seams

from .conftest import TakePhoto, painted, square_grid


def _darken(pixels: np.ndarray) -> np.ndarray:
    return np.clip(0.8 * pixels.astype(float) - 12, 0, 255).astype(np.uint8)


def test_levelling_closes_the_seam_between_two_exposures(take_photo: TakePhoto) -> None:
    vertices, faces = square_grid(24)
    mesh = painted(vertices, faces, 4)
    photos = [take_photo(mesh, [-0.4, 0, 3.4]), take_photo(mesh, [0.4, 0, 3.4], change=_darken)]
    labels = (vertices[faces].mean(axis=1)[:, 0] > 0).astype(np.int32)
    adjacency = face_adjacency(faces)
    charts = cut_charts(faces, labels, adjacency)
    charts, layout = plan_layout(vertices, charts, photos, largest_side=1024)
    atlas = copy_patches(charts, layout, photos, threads=2, progress=lambda share: None)
    seams = find_seams(faces, charts, adjacency)
    assert len(seams.ends) == 24

    def jump() -> float:
        """Mean difference across the seam, at points along it."""
        share = np.linspace(0, 1, 9)[:, None, None, None]
        ends = layout.texel[seams.ends]
        point = (1 - share) * ends[:, :, 0] + share * ends[:, :, 1]
        value = sample(atlas.color, point)
        return float(np.abs((value[:, :, 1] - value[:, :, 0]).mean(axis=0)).mean())

    before = jump()
    inner = charts.corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    offsets = solve_offsets(atlas, layout.texel, charts, seams, inner)
    apply_offsets(atlas, layout.texel, charts.corners, offsets, threads=2)
    levelled = jump()
    smooth_seams(atlas, layout.texel, seams)
    after = jump()

    assert before > 20
    assert levelled < 0.35 * before
    assert after <= 0.1 * before
    # The offsets are smooth: within a chart they follow the exposure, not the picture's detail.
    dark = offsets[charts.chart == 1].mean() - offsets[charts.chart == 0].mean()
    assert 0.6 * before < dark < 1.6 * before
