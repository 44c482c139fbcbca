"""Planes known only by where they meet others: a plain ceiling or floor, a plain wall.

Where depth ends at the border of a piece, a plane may begin that nothing was measured on. Many such
places at one height are the edge of a level plane, many above and below each other of an upright
one (as Furukawa et al. 2009 and Gallup et al. 2010 take buildings to be).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.superpixels import Superpixels
from insaat_cli.engine.stereo.view_planes import UP, rays_through

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class EdgeRule:
    """When places where depth ends are the edge of a plane."""

    known_share: float = 0.5
    """Of a piece's pixels, what must have depth for the piece to be known."""
    unknown_share: float = 0.25
    tolerance: float = 0.012
    """How far a place may be off the plane, as a share of its depth."""
    least_length: float = 0.12
    """Of edges on the plane together, in image widths."""
    most: int = 3
    """Planes of each kind."""
    trials: int = 200
    differs: float = 0.004
    """A new plane is off the old one by so much, a piece's width from the edge."""
    least_height: float = 0.02
    """Of a level plane above or below the camera, as a share of the median depth."""
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Edges:
    """N places where depth ends."""

    rays: Floats
    """(N, 3): (x, y, 1)."""
    beyond: Floats
    """(N, 3): rays to the middle of the unknown pieces behind them."""
    w: Floats
    """(N,): inverse depth of the known plane at `rays`."""
    w_beyond: Floats
    """(N,): of the same plane at `beyond`."""
    length: Floats


def find_edges(
    view: View,
    pieces: Superpixels,
    chosen: npt.NDArray[np.int32],
    planes: Floats,
    known_share: Map,
    open_to: npt.NDArray[np.bool_],
    rule: EdgeRule,
) -> Edges:
    """Borders between a known piece on a plane and an unknown one that is `open_to` planes."""
    known = (known_share >= rule.known_share) & (chosen >= 0)
    unknown = (known_share < rule.unknown_share) & open_to
    one, other = pieces.pairs[:, 0], pieces.pairs[:, 1]
    there = np.flatnonzero((known[one] & unknown[other]) | (unknown[one] & known[other]))
    source = np.where(known[one[there]], one[there], other[there])
    behind = np.where(known[one[there]], other[there], one[there])
    plane = planes[chosen[source]]
    rays = rays_through(view, pieces.middle[there])
    beyond = rays_through(view, pieces.centers()[behind])
    w, w_beyond = (np.einsum("ij,ij->i", plane, some) for some in (rays, beyond))
    good = w > 0
    return Edges(
        rays=rays[good],
        beyond=beyond[good],
        w=w[good],
        w_beyond=w_beyond[good],
        length=pieces.length[there][good].astype(float),
    )


def edge_planes(view: View, edges: Edges, rule: EdgeRule) -> Floats:
    """(K, 3): level and upright planes that begin at the edges, best first."""
    if len(edges.w) < 3:
        return np.empty((0, 3))
    up = view.R @ UP
    found = [*_level_planes(edges, up, rule), *_upright_planes(edges, up, rule)]
    least = rule.least_length * view.width
    scored = [(score, plane) for plane in found if (score := _score(plane, edges, rule)) >= least]
    scored.sort(key=lambda pair: -pair[0])
    return np.array([plane for _, plane in scored]).reshape(-1, 3)


def _score(plane: Floats, edges: Edges, rule: EdgeRule) -> float:
    """Length of edges on the plane from which it goes on otherwise than the known plane."""
    on = np.abs(edges.rays @ plane / edges.w - 1) < rule.tolerance
    new = np.abs(edges.beyond @ plane - edges.w_beyond) > rule.differs * edges.w
    return float(edges.length[on & new].sum())


def _level_planes(edges: Edges, up: Floats, rule: EdgeRule) -> list[Floats]:
    heights = edges.rays @ up / edges.w
    found: list[Floats] = []
    for sign in (-1, 1):
        side = heights * sign > rule.least_height / np.median(edges.w)
        left = edges.length * side
        for _ in range(rule.most):
            if not left.any():
                break
            size = np.log(np.where(side, np.abs(heights), 1))
            near = np.abs(size[:, None] - size[None]) < rule.tolerance
            votes = near @ left
            best = int(np.argmax(np.where(left > 0, votes, -1)))
            members = near[best] & (left > 0)
            height = float(np.average(heights[members], weights=left[members]))
            found.append(up / height)
            left = np.where(np.abs(size - size[best]) < 2 * rule.tolerance, 0, left)
    return found


def _upright_planes(edges: Edges, up: Floats, rule: EdgeRule) -> list[Floats]:
    points = edges.rays / edges.w[:, None]
    random = np.random.default_rng(rule.seed)
    share = edges.length / edges.length.sum()
    tried = []
    for _ in range(rule.trials):
        a, b = random.choice(len(points), 2, p=share)
        along = points[b] - points[a]
        normal = np.cross(up, along)
        size = float(np.linalg.norm(normal))
        offset = float(normal @ points[a])
        if size < 0.3 * float(np.linalg.norm(along)) or size == 0:
            continue
        if abs(offset) < 0.02 * size * points[a][2]:
            continue
        plane = normal / offset
        tried.append((_score(plane, edges, rule), plane))
    tried.sort(key=lambda pair: -pair[0])
    return [plane for _, plane in tried[: 4 * rule.most]]
