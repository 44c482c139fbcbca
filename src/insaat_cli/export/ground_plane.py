"""Find the plane that the subject stands on, lay it level, and cut off what is below.

The plane is the one that carries most of the surface's area among those close to level
(RANSAC, Fischler and Bolles 1981, with a fixed seed; refined by least squares).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from insaat_cli.errors import InsaatError
from insaat_cli.mesh_io.model import Faces, Floats, Model, Part

LEVEL_COSINE = 0.9
"""Faces and planes whose normal is at least this much upwards count as level."""
TOLERANCE = 0.008
"""How far from the plane its faces may lie, of the longest side."""
ROUGHNESS_ABOVE = 4.0
"""How far above the plane the cut is made, in standard deviations of the ground about it: grass and
noise go with it, and a subject on smooth ground keeps its feet."""
MIN_CLEARANCE, MAX_CLEARANCE = 0.001, 0.012
"""Of the longest side."""
MAD_TO_SIGMA = 1.4826
LOW_HALF = 0.5
"""The ground lies in this lowest share of the height."""
MIN_SHARE = 0.03
"""Least share of the whole area on the plane for it to be a ground."""
TRIALS = 200
SMALL_PART = 0.02
"""Loose parts below this share of the largest one's area are dropped after the cut."""
UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A plane: the points p with normal . p = height."""

    normal: Floats
    height: float
    roughness: float
    """Standard deviation of the ground about the plane, robust."""


def find_ground(vertices: Floats, faces: Faces) -> Ground | None:
    """The plane that the subject stands on, or None where there is none to see."""
    corners = vertices[faces]
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(crosses, axis=1)
    bounds = np.stack([corners.min(axis=(0, 1)), corners.max(axis=(0, 1))])
    size = float((bounds[1] - bounds[0]).max())
    centers = corners.mean(axis=1)
    middle = bounds[0, 1] + LOW_HALF * (bounds[1, 1] - bounds[0, 1])
    level = (crosses[:, 1] > LEVEL_COSINE * doubled) & (centers[:, 1] < middle) & (doubled > 0)
    if level.sum() < 3:
        return None
    points, weights = centers[level], doubled[level]
    best = _best_plane(points, weights, TOLERANCE * size)
    if best is None:
        return None
    near = np.abs(points @ best[0] - best[1]) < TOLERANCE * size
    share = float(weights[near].sum() / doubled.sum())
    if share < MIN_SHARE:
        return None
    mean = np.average(points[near], axis=0, weights=weights[near])
    spread = (points[near] - mean) * np.sqrt(weights[near])[:, None]
    normal = np.linalg.svd(spread, full_matrices=False)[2][2]
    normal *= np.sign(normal[1])
    if normal[1] < LEVEL_COSINE:
        normal = best[0]
    height = float(normal @ mean)
    roughness = MAD_TO_SIGMA * float(np.median(np.abs(points[near] @ normal - height)))
    return Ground(normal=normal, height=height, roughness=roughness)


def _best_plane(points: Floats, weights: Floats, tolerance: float) -> tuple[Floats, float] | None:
    random = np.random.default_rng(0)
    some = random.choice(len(points), min(len(points), 20_000), p=weights / weights.sum())
    points = points[some]  # drawn by area: from here on every point counts the same
    best, most = None, 0
    for _ in range(TRIALS):
        a, b, c = points[random.integers(0, len(points), 3)]
        normal = np.cross(b - a, c - a)
        length = float(np.linalg.norm(normal))
        if length == 0 or abs(normal[1]) < LEVEL_COSINE * length:
            continue
        normal = normal / length * np.sign(normal[1])
        height = float(normal @ a)
        count = int((np.abs(points @ normal - height) < tolerance).sum())
        if count > most:
            best, most = (normal, height), count
    return best


def cut_ground(model: Model) -> Model:
    """The model without its ground, level, with the cut at y = 0.

    Raises InsaatError where no ground is found, or nothing stands on it.
    """
    vertices, faces = model.shape()
    ground = find_ground(vertices, faces)
    if ground is None:
        raise InsaatError(
            "no ground was found under the model", hint="leave out --cut-ground, or crop by hand"
        )
    turn = _turn_to_up(ground.normal)
    size = float((model.bounds[1] - model.bounds[0]).max())
    clearance = min(
        max(ROUGHNESS_ABOVE * ground.roughness, MIN_CLEARANCE * size), MAX_CLEARANCE * size
    )
    drop = np.array([0.0, ground.height + clearance, 0.0])
    parts = [replace(part, vertices=part.vertices @ turn.T - drop) for part in model.parts]
    kept = [part for part in map(keep_above, parts) if len(part.faces)]
    if not kept:
        raise InsaatError("nothing rises above the detected ground")
    return without_small_parts(replace(model, parts=tuple(kept)))


def _turn_to_up(normal: Floats) -> Floats:
    """The smallest rotation that turns `normal` upwards (Rodrigues)."""
    axis = np.cross(normal, UP)
    skew = np.array(
        [[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]], np.float64
    )
    turn: Floats = np.eye(3) + skew + skew @ skew / (1 + float(normal @ UP))
    return turn


def keep_above(part: Part) -> Part:
    """The part of the triangles with y >= 0; triangles across are cut, texture and all."""
    heights = part.vertices[:, 1]
    above = heights[part.faces] >= 0
    whole = part.faces[above.all(axis=1)]
    crossing = part.faces[above.any(axis=1) & ~above.all(axis=1)]
    values = _columns(part)
    pieces, added = [whole], []
    start = len(part.vertices)
    for alone_is_above in (True, False):
        ups = heights[crossing] >= 0
        chosen = ups.sum(axis=1) == (1 if alone_is_above else 2)
        rows, ups = crossing[chosen], ups[chosen]
        alone = np.argmax(ups == alone_is_above, axis=1)
        a, b, c = (rows[np.arange(len(rows)), (alone + k) % 3] for k in range(3))
        ab, ac = np.arange(len(rows)) + start, np.arange(len(rows)) + start + len(rows)
        added += [_between(values, heights, a, b), _between(values, heights, a, c)]
        start += 2 * len(rows)
        if alone_is_above:
            pieces.append(np.stack([a, ab, ac], axis=1))
        else:
            pieces += [np.stack([ab, b, c], axis=1), np.stack([ab, c, ac], axis=1)]
    return _rebuilt(part, np.concatenate([values, *added]), np.concatenate(pieces))


def _columns(part: Part) -> Floats:
    """Everything that a vertex carries, side by side."""
    extra = [part.vertices]
    if part.uv is not None:
        extra.append(part.uv)
    if part.colors is not None:
        extra.append(part.colors.astype(np.float64))
    return np.concatenate(extra, axis=1)


def _between(
    values: Floats, heights: Floats, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> Floats:
    share = (heights[start] / (heights[start] - heights[end]))[:, None]
    rows: Floats = values[start] + share * (values[end] - values[start])
    rows[:, 1] = 0.0
    return rows


def _rebuilt(part: Part, values: Floats, faces: Faces) -> Part:
    used, faces = np.unique(faces, return_inverse=True)
    values, faces = values[used], faces.reshape(-1, 3)
    uv = values[:, 3:5] if part.uv is not None else None
    colors = None
    if part.colors is not None:
        colors = np.rint(values[:, -3:]).clip(0, 255).astype(np.uint8)
    return replace(part, vertices=values[:, :3], faces=faces, uv=uv, colors=colors)


def without_small_parts(model: Model) -> Model:
    """Drop loose pieces whose area is small beside the largest one's."""
    all_vertices = np.concatenate([part.vertices for part in model.parts])
    starts = np.cumsum([0, *(len(part.vertices) for part in model.parts)])
    faces = np.concatenate([p.faces + s for p, s in zip(model.parts, starts, strict=False)])
    _, place = np.unique(all_vertices, axis=0, return_inverse=True)
    joined = place.reshape(-1)[faces]
    count = int(joined.max()) + 1
    ends = np.concatenate([joined[:, [0, 1]], joined[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), (count, count))
    _, label = connected_components(graph, directed=False)
    piece = label[joined[:, 0]]
    corners = all_vertices[faces]
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.bincount(piece, np.linalg.norm(crosses, axis=1))
    keep = (area >= SMALL_PART * area.max())[piece]
    parts, at = [], 0
    for part in model.parts:
        mine = keep[at : at + len(part.faces)]
        at += len(part.faces)
        if mine.any():
            parts.append(_rebuilt(part, _columns(part), part.faces[mine]))
    return replace(model, parts=tuple(parts))
