"""What the photos say against faces: seen from behind, looked through, or of no common color.

A camera outside a solid sees only the front of its surface, so a face whose back fills the pixels
of a photo cannot be there: flakes of stray depth float like that above the surface, and a photo
that saw past them would be painted onto them. A face before the depth that a photo measured
contradicts it in the same way. Along outlines stereo makes the surface too wide; the fringe shows a
different background in every photo. These are the visibility and the photo-consistency of space
carving (Kutulakos and Seitz, "A theory of shape by space carving", 2000), asked of the faces of a
mesh.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from insaat_cli.engine.bounded_map import in_order
from insaat_cli.engine.render.raster import rasterize
from insaat_cli.engine.scene.views import View
from insaat_cli.engine.surface.outline import REACH_PX, background_pixels

Vertices = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]
Depth = npt.NDArray[np.float32]

LOOKED_THROUGH = 0.02
"""A photo looks through a face if it measured a depth larger by this share."""
HIDDEN = 0.01
"""A face is hidden if it lies behind another by this share of its depth."""
MIN_VIEWS = 2
"""So many photos must see more against a face than for it."""
MIN_COSINE = 0.2
"""A face seen flatter than this tells nothing by its color."""
MIN_SPREAD = 10.0
"""A spread of so many 8-bit levels is noise, shading and small shifts."""
SPREAD_RATIO = 3.0
"""A face is doubtful beyond so many times the usual spread."""
MAX_BACKGROUND = 0.3
"""A face is doubtful if more of its pixels show what is behind it."""
RINGS = 12
"""A fringe is no wider than so many faces."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the photos say of every face, (F,) each."""

    contradicted: npt.NDArray[np.bool_]
    """More pixels are against the face than for it."""
    hidden: npt.NDArray[np.bool_]
    """Other faces hide the face from every photo that it lies in, one at least."""
    color_spread: npt.NDArray[np.float32]
    """Standard deviation of the face's color over the photos that face it, in 8-bit levels.

    0 where fewer than two do.
    """
    background_share: npt.NDArray[np.float32]
    """Share of the face's pixels, over all photos, that show the background beside an outline."""


@dataclass(frozen=True, kw_only=True)
class Witness:
    """One view: what it measured and what it shows."""

    view: View
    depth: Depth
    """(H, W); 0 where unknown, infinite where there is nothing but sky."""
    rgb: npt.NDArray[np.uint8]
    """(H, W, 3)."""
    near: float = 0.0
    """Nothing is nearer to the camera (world units): what would be is looked through."""
    sky_known: bool = False
    """Whether all sky is marked as such: what is unknown then is a surface that goes on."""


def ask_photos(
    vertices: Vertices, faces: Faces, witnesses: Iterable[Witness], *, threads: int = 1
) -> Evidence:
    """Look at the mesh (V, 3), (F, 3) through every view, `threads` of them in memory at a time.

    A depth of 0 speaks for what the mesh shows there, if from its front.
    """
    pro, con, beside = (np.zeros(len(faces), np.int64) for _ in range(3))
    views_against, facing = (np.zeros(len(faces), np.int32) for _ in range(2))
    in_the_way, inside, open_ = (np.zeros(len(faces), bool) for _ in range(3))
    middles = vertices[faces].mean(axis=1)
    sums = np.zeros((2, len(faces), 3))
    with ThreadPoolExecutor(threads) as pool:
        ask = partial(_ask, vertices, faces, middles)
        for said in in_order(pool, ask, witnesses, ahead=threads):
            pro[said.faces] += said.pro
            con[said.faces] += said.con
            beside[said.faces] += said.beside
            views_against[said.faces] += said.con > said.pro
            in_the_way[said.faces] |= said.near
            inside[said.inside] = True
            open_[said.open] = True
            facing[said.shown] += 1
            sums[0, said.shown] += said.color
            sums[1, said.shown] += said.color**2
    count = np.maximum(facing, 1)[:, None]
    variance = np.maximum(sums[1] / count - (sums[0] / count) ** 2, 0).mean(axis=1)
    return Evidence(
        contradicted=((con > pro) & (views_against >= MIN_VIEWS)) | in_the_way,
        hidden=inside & ~open_,
        color_spread=np.sqrt(variance).astype(np.float32),
        background_share=(beside / np.maximum(pro + con, 1)).astype(np.float32),
    )


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What one view says of the faces that it sees (S,), and of no others: a scene with twice the
    photos has twice the faces too, and time must not grow with their product."""

    faces: npt.NDArray[np.int64]
    """(S,) which faces."""
    pro: npt.NDArray[np.int64]
    """(S,) pixels for the face; so are `con`, against it, and `beside`, at an outline."""
    con: npt.NDArray[np.int64]
    beside: npt.NDArray[np.int64]
    near: npt.NDArray[np.bool_]
    """(S,) which faces are nearer to the camera than anything that it measured."""
    inside: npt.NDArray[np.int64]
    """(I,) the faces that lie in the photo, seen or not."""
    open: npt.NDArray[np.int64]
    """(O,) those of them that nothing hides."""
    shown: npt.NDArray[np.int64]
    """(M,) the faces whose color can be judged."""
    color: npt.NDArray[np.float64]
    """(M, 3) their mean colors."""


def _ask(vertices: Vertices, faces: Faces, middles: Vertices, witness: Witness) -> _Said:
    seen = _seen_faces(vertices, faces, witness.view)
    count = len(seen.faces)
    speaks_for = seen.cosine[seen.place] > 0
    speaks_for &= witness.depth[seen.where] <= (1 + LOOKED_THROUGH) * seen.depth
    pro = np.bincount(seen.place[speaks_for], minlength=count)
    con = np.bincount(seen.place[~speaks_for], minlength=count)
    behind = _behind(seen, witness.depth) if witness.sky_known else None
    inside, open_ = _looked_at(middles, seen, witness.view)
    near = np.zeros(count, bool)
    near[seen.place[seen.depth < witness.near]] = True
    at_background = background_pixels(witness.rgb, seen.where, behind)[seen.where]
    shown = np.flatnonzero(seen.cosine > MIN_COSINE)
    rgb = witness.rgb[seen.where]
    totals = [np.bincount(seen.place, rgb[:, channel], count)[shown] for channel in range(3)]
    return _Said(
        faces=seen.faces,
        pro=pro,
        con=con,
        beside=np.bincount(seen.place[at_background], minlength=count),
        near=near,
        inside=inside,
        open=open_,
        shown=seen.faces[shown],
        color=np.stack(totals, axis=1) / (pro + con)[shown, None],
    )


def _looked_at(
    places: Vertices, seen: _Seen, view: View
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which places (N, 3) of the mesh lie in the photo, and which of them nothing hides."""
    R, K = view.R.astype(np.float32), view.K.astype(np.float32)
    local = np.einsum("vk,jk->vj", places, R) + view.t.astype(np.float32)
    depth = np.where(local[:, 2] > 0, local[:, 2], np.float32(np.inf))
    column = np.rint(np.clip(K[0, 0] * local[:, 0] / depth + K[0, 2], -1, view.width))
    row = np.rint(np.clip(K[1, 1] * local[:, 1] / depth + K[1, 2], -1, view.height))
    column, row = column.astype(np.int32), row.astype(np.int32)
    inside = np.flatnonzero(
        np.isfinite(depth)
        & (column >= 0) & (row >= 0) & (column < view.width) & (row < view.height)
    )  # fmt: skip
    mesh = np.full(seen.where.shape, np.inf, np.float32)
    mesh[seen.where] = seen.depth
    farthest = cv2.dilate(mesh, np.ones((3, 3), np.uint8))  # nor is a face at an outline lost
    is_open = depth[inside] <= (1 + HIDDEN) * farthest[row[inside], column[inside]]
    return inside, inside[is_open]


def _behind(seen: _Seen, depth: Depth) -> npt.NDArray[np.bool_]:
    """Which pixels (H, W) show sky, or a surface farther away than the mesh beside them."""
    beside = np.zeros(depth.shape, np.float32)
    beside[seen.where] = seen.depth
    size = 4 * REACH_PX + 1
    farthest = cv2.dilate(beside, np.ones((size, size), np.uint8))
    return np.asarray(depth > (1 + LOOKED_THROUGH) * farthest)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """The pixels of a view that see the mesh, N of them, and the faces that they see."""

    where: npt.NDArray[np.bool_]
    """(H, W) mask of these pixels."""
    faces: npt.NDArray[np.int64]
    """(S,) which faces are seen."""
    place: npt.NDArray[np.int32]
    """(N,) which of them, by pixel."""
    depth: Depth
    """(N,) of the mesh."""
    cosine: npt.NDArray[np.float64]
    """(S,) of the angle under which each face is seen; negative from behind."""


def _seen_faces(vertices: Vertices, faces: Faces, view: View) -> _Seen:
    # Not `@`: BLAS starts threads for it, which here run beside each other and wait for each other.
    in_camera = np.einsum("vk,jk->vj", vertices, view.R) + view.t
    K = view.K.copy()
    K[:2, 2] += 0.5  # the rasteriser's pixel centres are at +0.5, a view's at 0
    raster = rasterize(in_camera, faces, K, view.width, view.height, threads=1)
    where = raster.face >= 0
    drawn = raster.face[where]
    is_seen = np.zeros(len(faces), np.bool_)
    is_seen[drawn] = True
    seen = np.flatnonzero(is_seen)
    slot = np.empty(len(faces), np.int32)
    slot[seen] = np.arange(len(seen), dtype=np.int32)
    a, b, c = (in_camera[faces[seen, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    lengths = np.linalg.norm(normal, axis=1) * np.linalg.norm(a, axis=1)
    cosine = -np.einsum("ij,ij->i", normal, a) / np.maximum(lengths, 1e-30)
    return _Seen(
        where=where, faces=seen, place=slot[drawn], depth=raster.depth[where], cosine=cosine
    )


def inconsistent(evidence: Evidence) -> npt.NDArray[np.bool_]:
    """Which faces look so different in the photos, or so like what is behind, that they are not."""
    spread = evidence.color_spread
    known = spread[spread > 0]
    usual = float(np.median(known)) if len(known) else 0.0
    differs = spread > max(MIN_SPREAD, SPREAD_RATIO * usual)
    return np.asarray(differs | (evidence.background_share > MAX_BACKGROUND))


def near_border(
    vertices: Vertices, faces: Faces, reach: float, *, threads: int = 1
) -> npt.NDArray[np.bool_]:
    """Which faces (F,) have their middle within `reach` (world units) of an open edge of the mesh.

    In flat parts a face is many cells wide: rings of faces alone would peel off a whole roof.
    """
    edges = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    ordered = np.sort(edges, axis=1).astype(np.int64)
    _, inverse, counts = np.unique(
        ordered[:, 0] << 32 | ordered[:, 1], return_inverse=True, return_counts=True
    )
    border = edges[counts[inverse.reshape(-1)] == 1]
    if not len(border):
        return np.zeros(len(faces), bool)
    ends = vertices[border]
    places = np.concatenate([ends[:, 0], ends.mean(axis=1)])
    distance, _ = cKDTree(places).query(
        vertices[faces].mean(axis=1), distance_upper_bound=reach, workers=threads
    )
    return np.asarray(np.isfinite(distance))


def peeled(
    faces: Faces, doubtful: npt.NDArray[np.bool_], rings: int = RINGS
) -> npt.NDArray[np.bool_]:
    """Which faces stay if doubtful ones at an open edge go, ring after ring from the border.

    Doubtful faces within the surface stay: a window or water looks different in every photo too.
    """
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1), axis=2)
    keys = edges[..., 0].astype(np.int64) << 32 | edges[..., 1]
    _, edge = np.unique(keys, return_inverse=True)
    edge = edge.reshape(-1, 3)
    users = np.bincount(edge.reshape(-1))
    keep = np.ones(len(faces), bool)
    waiting = np.flatnonzero(doubtful)
    for _ in range(rings):
        at_border = (users[edge[waiting]] == 1).any(axis=1)
        going = waiting[at_border]
        if not len(going):
            break
        keep[going] = False
        users -= np.bincount(edge[going].reshape(-1), minlength=len(users))
        waiting = waiting[~at_border]
    return keep
