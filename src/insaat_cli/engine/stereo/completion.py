"""Depth for what is too plain to measure, from planes that what is measured around it supports.

Of every view: what its neighbours agree on (`agreement.py`) is reliable; it lies on planes
(`view_planes.py`); small pieces of the photo (`superpixels.py`) choose among these and those of its
neighbours (`plane_evidence.py`, `plane_labels.py`); completed are pixels of a piece on a plane
that measured depth holds from enough sides (`plane_support.py`), that no other view looks through,
and whose depth others confirm (`confirmed_by`). Sky is never completed (`sky.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit

from insaat_cli.engine.scene.views import Floats, View
from insaat_cli.engine.stereo.agreement import Agreement, agreed_depth, intrinsics_of
from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap
from insaat_cli.engine.stereo.edge_planes import EdgeRule, edge_planes, find_edges
from insaat_cli.engine.stereo.floor_search import Floor, FloorRule
from insaat_cli.engine.stereo.plane_evidence import (
    SKY,
    Evidence,
    Seen,
    call_witnesses,
    gather,
    samples_of,
)
from insaat_cli.engine.stereo.plane_labels import NONE, LabelCosts, choose_planes
from insaat_cli.engine.stereo.plane_support import Support, supported
from insaat_cli.engine.stereo.sky import SkyGuess, SkyRule, guess_sky
from insaat_cli.engine.stereo.superpixels import Superpixels, superpixels
from insaat_cli.engine.stereo.view_planes import (
    PlaneSearch,
    find_planes,
    moved_planes,
    rays_of,
    without_doubles,
)

Map = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.bool_]
CONFIDENCE = 64
"""Of 255, of completed depth: where others measured, that counts more."""
SAME_DEPTH = 0.02
"""Measured depth that is so near to the plane, as a share of it, is kept: it is finer."""
GRAY_BLUR_PX = 1.0


@dataclass(frozen=True, kw_only=True)
class CompletionRule:
    """How plain surfaces are completed."""

    piece_px: int = 8
    """Side of the pieces of a photo."""
    agreement: Agreement = field(
        default_factory=lambda: Agreement(
            views=2, reprojection_px=2.0, relative_depth=0.01, normal_cosine=0.25
        )
    )
    planes: PlaneSearch = field(default_factory=PlaneSearch)
    same_plane: float = 0.006
    """Planes whose depths differ by less are one."""
    most_planes: int = 32
    views: int = 6
    """Neighbours that are asked about a piece."""
    tolerance: float = 0.01
    """How far depth on a plane may be off it, as a share of it."""
    known_share: float = 0.9
    """Of a piece, what must be reliable for others not to be asked about it."""
    edges: EdgeRule = field(default_factory=EdgeRule)
    floor: FloorRule = field(default_factory=FloorRule)
    most_unlike: float = 0.35
    """Where photos are less alike than that on a plane, something else is to be seen."""
    floor_unlike: float = 0.25
    """A piece of the ground looks at least that alike in two photos."""
    costs: LabelCosts = field(default_factory=LabelCosts)
    support: Support = field(default_factory=Support)
    confirming_views: int = 2
    """Other views whose measured or completed depth must agree with what was completed."""
    measuring_views: int = 3
    """What so many other views measured needs no completion."""
    sky: SkyRule = field(default_factory=SkyRule)


def thinned(view: View, step: int) -> View:
    """The camera of every `step`-th pixel of every `step`-th row."""
    K = view.K.copy()
    K[:2] /= step
    return View(
        name=view.name,
        width=-(-view.width // step),
        height=-(-view.height // step),
        K=K,
        cam_from_world=view.cam_from_world,
    )


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """What one view knows by itself, before others are asked about planes."""

    seen: Seen
    pieces: Superpixels
    planes: Floats
    sky: SkyGuess


def survey(
    view: View,
    depth_map: DepthMap,
    rgb: npt.NDArray[np.uint8],
    others: Sequence[View],
    other_maps: Sequence[DepthMap],
    rule: CompletionRule,
) -> Surveyed:
    """Reliable depth, pieces, planes and a guess at the sky of one view."""
    reliable = np.zeros_like(depth_map.depth)
    if others:
        agreement = replace(rule.agreement, views=min(rule.agreement.views, len(others)))
        reliable, _ = agreed_depth(view, depth_map, others, other_maps, agreement)
    pieces = superpixels(rgb, rule.piece_px)
    gray = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (0, 0), GRAY_BLUR_PX)
    return Surveyed(
        seen=Seen(view=view, gray=np.asarray(gray, np.uint8), reliable=reliable),
        pieces=pieces,
        planes=find_planes(view, pieces.labels, pieces.area, reliable, rule.planes),
        sky=guess_sky(view, rgb, pieces, reliable, rule.sky),
    )


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Planes (K, 3), and that of every pixel, reliable or not; NONE where none is supported."""

    planes: Floats
    chosen: npt.NDArray[np.int32]

    def depth(self, view: View) -> Map:
        """(height, width), 0 where nothing is proposed."""
        return _on_planes(view, self.planes, self.chosen)[0]


def propose(
    own: Seen,
    pieces: Superpixels,
    planes: Sequence[tuple[View, Floats]],
    others: Sequence[Seen],
    floor: Floor | None,
    rule: CompletionRule,
) -> Proposal:
    """What planes support in a view besides its reliable depth.

    `planes` are its own first, then its neighbours', each with the view they were found in; `floor`
    is that of the world.
    """
    view = own.view
    known = np.concatenate([moved_planes(some, source, view) for source, some in planes])
    if not len(known) or not others:
        nowhere = np.full(own.reliable.shape, NONE, np.int32)
        return Proposal(planes=np.empty((0, 3)), chosen=nowhere)
    witnesses = call_witnesses(view, others)
    samples = samples_of(pieces.labels, pieces.count)
    share = pieces.means((own.reliable > 0).astype(np.float32))
    ground = np.empty((0, 3)) if floor is None else floor.seen_from(view)
    known = without_doubles(
        np.concatenate([ground, known]), view, rule.same_plane, rule.most_planes
    )
    asked = share < rule.known_share
    evidence = gather(own, samples, known, witnesses, rule.tolerance, asked)
    chosen, held = _held(own, pieces, known, ground, len(known), evidence, others, rule)
    # where that ends, planes may begin that nothing was measured on
    depth, _ = _on_planes(view, known, held)
    more = _planes_beyond(own, pieces, known, chosen, np.maximum(depth, own.reliable), rule)
    both = without_doubles(
        np.concatenate([known, more]), view, rule.same_plane, len(known) + len(more)
    )
    if len(both) > len(known):
        new = gather(own, samples, both[len(known) :], witnesses, rule.tolerance, asked)
        chosen, held = _held(
            own, pieces, both, ground, len(known), evidence.joined(new), others, rule
        )
    return Proposal(planes=both, chosen=held)


def _held(
    own: Seen,
    pieces: Superpixels,
    planes: Floats,
    ground: Floats,
    measured: int,
    evidence: Evidence,
    others: Sequence[Seen],
    rule: CompletionRule,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The plane of every piece, and of every pixel that is held on it; NONE elsewhere.

    The first `measured` of the planes are such, but for the ground.
    """
    view = own.view
    inferred = np.arange(len(planes)) >= measured
    inferred[: len(ground)] = True
    chosen = choose_planes(view, pieces, planes, ground, inferred, evidence, rule.costs)
    pixels = chosen[pieces.labels]
    pixels[own.reliable == SKY] = NONE
    depth, _ = _on_planes(view, planes, pixels)
    agree, against = _opinions(
        view, depth, [(other.view, other.reliable) for other in others], rule.tolerance
    )
    pixels[against > agree] = NONE
    unlike = evidence.unlike[np.arange(pieces.count), np.maximum(chosen, 0)] > rule.most_unlike
    pixels[unlike[pieces.labels] & (agree == 0) & (own.reliable == 0)] = NONE
    confirmed = agree > against
    if len(ground):
        # the first plane: found by how alike its pieces look together
        seen = (chosen == 0) & (evidence.unlike[:, 0] < rule.floor_unlike)
        confirmed |= seen[pieces.labels]
    good = supported(view, pixels, planes, own.reliable, confirmed, rule.support)
    return chosen, np.where(good, pixels, NONE)


def _planes_beyond(
    own: Seen,
    pieces: Superpixels,
    planes: Floats,
    chosen: npt.NDArray[np.int32],
    depth: Map,
    rule: CompletionRule,
) -> Floats:
    share = pieces.means((depth > 0).astype(np.float32))
    sky = pieces.means((own.reliable == SKY).astype(np.float32))
    known = np.where(sky > 0, 0, share).astype(np.float32)
    edges = find_edges(own.view, pieces, chosen, planes, known, sky == 0, rule.edges)
    return edge_planes(own.view, edges, rule.edges)


def _on_planes(
    view: View, planes: Floats, chosen: npt.NDArray[np.int32]
) -> tuple[Map, npt.NDArray[np.int8]]:
    """Depth and normals of every pixel on its plane; 0 for NONE."""
    x, y = rays_of(view)
    depth = np.zeros(chosen.shape, np.float32)
    normals = np.zeros((*chosen.shape, 3), np.int8)
    towards = -planes / np.maximum(np.linalg.norm(planes, axis=1, keepdims=True), 1e-20)
    _fill(
        chosen, planes.astype(np.float32), np.rint(towards * NORMAL_SCALE).astype(np.int8), x, y,
        depth, normals,
    )  # fmt: skip
    return depth, normals


@njit(nogil=True, cache=True)
def _fill(chosen, planes, towards, x, y, depth, normals):  # type: ignore[no-untyped-def]
    for v in range(chosen.shape[0]):
        for u in range(chosen.shape[1]):
            p = chosen[v, u]
            if p < 0:
                continue
            w = planes[p, 0] * x[u] + planes[p, 1] * y[v] + planes[p, 2]
            if w > 0:
                depth[v, u] = np.float32(1) / w
                for c in range(3):
                    normals[v, u, c] = towards[p, c]


def confirmed_by(
    view: View,
    proposed: Map,
    others: Sequence[tuple[View, Map]],
    measured: Sequence[tuple[View, Map]],
    rule: CompletionRule,
) -> Pixels:
    """Where enough other views have a depth like the `proposed`, and fewer look through it.

    The depth of `others` is what is reliable or what they propose themselves, SKY, or 0; `measured`
    the same without proposals. What enough views measured is not confirmed: it is there already,
    and finer than a plane.
    """
    agree, against = _opinions(view, proposed, others, rule.tolerance)
    known, _ = _opinions(view, proposed, measured, rule.tolerance)
    good = (agree >= max(1, min(rule.confirming_views, len(others)))) & (agree > against)
    return np.asarray(good & (known < rule.measuring_views))


def _opinions(
    view: View, proposed: Map, others: Sequence[tuple[View, Map]], tolerance: float
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """For every pixel how many other views have a depth like it, and how many look through it."""
    agree = np.zeros(proposed.shape, np.int16)
    against = np.zeros(proposed.shape, np.int16)
    x, y = rays_of(view)
    for other, depth in others:
        rotation = other.R @ view.R.T
        shift = other.t - rotation @ view.t
        _confirm(
            proposed, x, y, rotation.astype(np.float32), shift.astype(np.float32),
            intrinsics_of(other).astype(np.float32), depth, np.float32(tolerance), agree, against,
        )  # fmt: skip
    return agree, against


@njit(nogil=True, cache=True, fastmath=True)
def _confirm(  # type: ignore[no-untyped-def]
    proposed, x, y, R, t, K, depth, tolerance, agree, against
):
    rows, columns = depth.shape
    for v in range(proposed.shape[0]):
        for u in range(proposed.shape[1]):
            z = proposed[v, u]
            if z <= 0:
                continue
            zj = z * (R[2, 0] * x[u] + R[2, 1] * y[v] + R[2, 2]) + t[2]
            if zj <= 0:
                continue
            xj = z * (R[0, 0] * x[u] + R[0, 1] * y[v] + R[0, 2]) + t[0]
            yj = z * (R[1, 0] * x[u] + R[1, 1] * y[v] + R[1, 2]) + t[1]
            a = int(K[0] * xj / zj + K[2] + np.float32(0.5))
            b = int(K[1] * yj / zj + K[3] + np.float32(0.5))
            if a < 0 or b < 0 or a >= columns or b >= rows or depth[b, a] <= 0:
                continue
            relative = (depth[b, a] - zj) / zj
            if abs(relative) < np.float32(1.5) * tolerance:
                agree[v, u] += 1
            elif relative > np.float32(3) * tolerance:
                against[v, u] += 1


def completed_map(
    view: View, measured: DepthMap, reliable: Map, proposal: Proposal, confirmed: Pixels
) -> DepthMap:
    """The measured map of `view` with what was completed in it, marked, and none in the sky.

    `reliable`, `proposal` and `confirmed` may be smaller by a whole number.
    """
    step = -(-measured.depth.shape[0] // reliable.shape[0])
    height, width = measured.depth.shape
    grown = np.ix_(np.arange(height) // step, np.arange(width) // step)
    chosen = np.where(confirmed, proposal.chosen, NONE)[grown]
    chosen[(reliable[grown] > 0) & (measured.depth > 0)] = NONE
    proposed, normals = _on_planes(view, proposal.planes, np.ascontiguousarray(chosen))
    same = np.abs(measured.depth - proposed) < SAME_DEPTH * proposed
    completed = (proposed > 0) & ~same
    sky = (reliable == SKY)[grown]
    depth = np.where(completed, proposed, measured.depth)
    confidence = np.where(completed, np.uint8(CONFIDENCE), measured.confidence)
    depth[sky], confidence[sky] = 0, 0
    return DepthMap(
        depth=depth,
        normals=np.where(completed[..., None], normals, measured.normals),
        confidence=confidence,
        completed=completed if completed.any() else None,
        sky=sky if sky.any() else None,
    )
