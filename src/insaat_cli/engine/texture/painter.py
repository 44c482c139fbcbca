"""Texturing from end to end: a mesh and photos in, a textured mesh out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insaat_cli.engine.texture.adjacency import Adjacency, face_adjacency
from insaat_cli.engine.texture.atlas import Atlas, copy_patches, fill_gaps
from insaat_cli.engine.texture.bilinear import sample
from insaat_cli.engine.texture.candidates import find_candidates
from insaat_cli.engine.texture.cells import paint_cells
from insaat_cli.engine.texture.charts import Charts, absorb_small_charts, cut_charts
from insaat_cli.engine.texture.labels import NO_PHOTO, choose_photos
from insaat_cli.engine.texture.layout import Layout, plan_layout
from insaat_cli.engine.texture.levelling import apply_offsets, solve_offsets
from insaat_cli.engine.texture.loose import LooseFaces
from insaat_cli.engine.texture.outliers import reject_outliers
from insaat_cli.engine.texture.photo import Photo
from insaat_cli.engine.texture.seams import find_seams, smooth_seams
from insaat_cli.errors import StageError
from insaat_cli.mesh_io.textured_mesh import TexturedMesh


@dataclass(frozen=True, kw_only=True)
class PaintOptions:
    """How to texture."""

    largest_side: int = 4096
    """Of a page of the atlas, in texels."""
    max_pages: int = 1
    """A further page is used where the atlas would hold too little of the photos."""
    smoothness: float = 1.0
    """Cost of a seam between two faces, in units of a face's worst choice of photo."""
    levelling: bool = True
    """Even out brightness across seams."""
    reject_outliers: bool = True


@dataclass(frozen=True, kw_only=True)
class PaintSummary:
    """What came out, for the report."""

    faces: int
    unseen_faces: int
    loose_faces: int
    """Seen, but of charts too small for a place of their own in the atlas."""
    rejected_share: float
    """Of all (face, photo) pairs: those dropped because the photo disagrees with the others."""
    charts: int
    photos_used: int
    atlas_width: int
    atlas_height: int
    """Of all pages."""
    pages: int
    texels_per_pixel: float
    atlas_used_share: float


def paint(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    photos: Sequence[Photo],
    options: PaintOptions,
    *,
    threads: int,
    progress: Callable[[float], None],
) -> tuple[TexturedMesh, PaintSummary]:
    """Texture the mesh (V, 3), (F, 3), faces counter-clockwise from outside, from the photos.

    Raises StageError if no photo sees any face.
    """
    adjacency = face_adjacency(faces)
    candidates = find_candidates(
        vertices, faces, photos, threads=threads, progress=lambda share: progress(0.5 * share)
    )
    pairs = int(candidates.count.sum())
    if not pairs:
        raise StageError(
            "no photo sees the surface",
            hint="cameras and mesh do not match: rerun with --from sparse",
        )
    rejected = int(reject_outliers(candidates).sum()) if options.reject_outliers else 0
    labels = choose_photos(candidates, adjacency, smoothness=options.smoothness)
    labels = absorb_small_charts(labels, candidates, adjacency)
    del candidates
    progress(0.6)
    charts, layout = plan_layout(
        vertices,
        cut_charts(faces, labels, adjacency),
        photos,
        largest_side=options.largest_side,
        max_pages=options.max_pages,
    )
    progress(0.65)
    alone = charts.chart_of_face < 0
    loose = LooseFaces(vertices, faces[alone], labels[alone])
    atlas = copy_patches(
        charts, layout, photos, threads=threads, progress=lambda s: progress(0.65 + 0.15 * s),
        loose=loose,
    )  # fmt: skip
    if options.levelling:
        _level(atlas, layout, faces, charts, adjacency, threads)
    progress(0.95)
    fill_gaps(atlas)
    mesh = _assemble(vertices, faces, charts, layout, atlas, loose)
    return mesh, PaintSummary(
        faces=len(faces),
        unseen_faces=int((labels == NO_PHOTO).sum()),
        loose_faces=int((labels[alone] != NO_PHOTO).sum()),
        rejected_share=rejected / pairs,
        charts=len(charts.photo_of_chart),
        photos_used=len(np.unique(labels[labels != NO_PHOTO])),
        atlas_width=layout.width,
        atlas_height=layout.height,
        pages=len(mesh.pages),
        texels_per_pixel=layout.scale,
        atlas_used_share=layout.used_share,
    )


def _level(
    atlas: Atlas,
    layout: Layout,
    faces: NDArray[np.int32],
    charts: Charts,
    adjacency: Adjacency,
    threads: int,
) -> None:
    seams = find_seams(faces, charts, adjacency)
    if not len(seams.ends):
        return
    corners = charts.corners[charts.chart_of_face >= 0]
    inner = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    offsets = solve_offsets(atlas, layout.texel, charts, seams, inner)
    apply_offsets(atlas, layout.texel, corners, offsets, threads=threads)
    smooth_seams(atlas, layout.texel, seams)


def _assemble(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    charts: Charts,
    layout: Layout,
    atlas: Atlas,
    loose: LooseFaces,
) -> TexturedMesh:
    """Join chart vertices and the loose faces' own into one mesh; paint the loose faces."""
    colors = loose.colors(charts.vertex, sample(atlas.color, layout.texel))
    cells = paint_cells(atlas.color, colors, layout.cells)
    corners = charts.corners.copy()
    corners[charts.chart_of_face < 0] = len(charts.vertex) + np.arange(loose.faces.size).reshape(
        -1, 3
    )
    texel = np.concatenate([layout.texel, cells.reshape(-1, 2)])
    positions = vertices[np.concatenate([charts.vertex, loose.faces.ravel()])]
    starts = range(0, layout.height, layout.page_height)
    pages = [atlas.color[first : first + layout.page_height] for first in starts]
    page = (texel[:, 1] // layout.page_height).astype(np.uint8)
    size = np.array([[layout.width, len(pixels)] for pixels in pages])
    within = texel - np.outer(page, [0, layout.page_height])
    return TexturedMesh(
        vertices=positions.astype(np.float32),
        uv=(within / size[page]).astype(np.float32),
        faces=corners,
        texture=pages[0],
        further_pages=tuple(pages[1:]),
        page_of_face=page[corners[:, 0]] if len(pages) > 1 else None,
    )
