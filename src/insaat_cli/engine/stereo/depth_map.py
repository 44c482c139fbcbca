"""The depth map of one view: SGM for a start, PatchMatch on slanted planes, what to believe."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import View
from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap
from insaat_cli.engine.stereo.patchmatch import (
    OVERSAMPLING,
    Planes,
    Search,
    enlarge,
    normals_of,
    refine,
    relate,
    start_planes,
)
from insaat_cli.engine.stereo.plane_sweep import WORST
from insaat_cli.engine.stereo.sgm import merge_depths, pair_depth

Gray = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

SGM_SIZE = 0.375
"""Of the depth map: what is lost of fine detail, the refinement at half size finds again."""
SGM_NEAR, SGM_FAR = 0.75, 1.3
"""Semi-global matching looks this much nearer and farther than the sparse points."""
NEAR, FAR = 0.3, 3.0
"""Refinement may leave their range this far: ground in front carries few sparse points."""
SPECKLE_SHARE = 2e-4
SPECKLE_STEP = 0.02


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much work goes into one view."""

    coarse_sweeps: int
    fine_sweeps: int
    best_views: int
    max_cost: float
    """Depth with a matching cost (1 - NCC) above this is not believed."""


def measure_depth(
    reference: View,
    gray: Gray,
    others: list[View],
    grays: list[Gray],
    depths: tuple[float, float],
    effort: Effort,
) -> DepthMap:
    """Depth map of `reference` (camera and photo at the wanted size) from its neighbours.

    `depths` is the (near, far) range of the sparse points that the view saw.
    """
    coarse, coarse_gray = _smaller(reference, gray, 0.5)
    pairs = [_smaller(view, image, 0.5) for view, image in zip(others, grays, strict=True)]
    coarse_others, coarse_grays = [view for view, _ in pairs], [image for _, image in pairs]
    start = cv2.resize(
        _start(reference, gray, others, grays, depths),
        (coarse.width, coarse.height),
        interpolation=cv2.INTER_NEAREST,
    )
    limits = (1 / (FAR * depths[1]), 1 / (NEAR * depths[0]))
    search = Search(sweeps=effort.coarse_sweeps, best_views=effort.best_views, sparing=True)
    planes = refine(
        start_planes(np.asarray(start, np.float32)),
        coarse_gray,
        float(coarse.K[0, 0]),
        relate(coarse, coarse_others, [oversampled(image) for image in coarse_grays]),
        limits,
        search,
    )
    planes = refine(
        enlarge(planes, reference.width, reference.height),
        gray,
        float(reference.K[0, 0]),
        relate(reference, others, [oversampled(image) for image in grays]),
        limits,
        replace(
            search,
            sweeps=effort.fine_sweeps,
            depth_step=0.002,
            random_trials=2,
            sparing=False,
            slope_step=0.1,
            seed=2,
        ),
    )
    return _believed(planes, reference, effort.max_cost)


def _smaller(view: View, gray: Gray, scale: float) -> tuple[View, Gray]:
    """A camera and its photo, resampled."""
    size = (max(1, int(view.width * scale)), max(1, int(view.height * scale)))
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    return view.resized(*size), np.asarray(small, np.uint8)


def oversampled(gray: Gray) -> Gray:
    """The photo as `relate` wants it: enlarged, so that its nearest pixel is near enough."""
    size = (gray.shape[1] * OVERSAMPLING, gray.shape[0] * OVERSAMPLING)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _start(
    view: View, gray: Gray, others: list[View], grays: list[Gray], depths: tuple[float, float]
) -> Map:
    """A complete, small inverse-depth map: where pairs agree their depth, else the nearest."""
    near, far = SGM_NEAR * depths[0], SGM_FAR * depths[1]
    view, gray = _smaller(view, gray, SGM_SIZE)
    small = [_smaller(other, image, SGM_SIZE) for other, image in zip(others, grays, strict=True)]
    pairs = [
        depth
        for other, image in small
        if (depth := pair_depth(view, other, gray, image, near, far)) is not None
    ]
    middle = 2 / (1 / near + 1 / far)
    if not pairs:
        return np.full(gray.shape, 1 / middle, np.float32)
    depth, votes = merge_depths(pairs)
    known = (votes >= min(2, len(pairs))) & (depth > 0)
    if not known.any():
        return np.full(gray.shape, 1 / middle, np.float32)
    return filled((1 / np.where(known, depth, 1)).astype(np.float32), known)


def filled(values: Map, known: npt.NDArray[np.bool_]) -> Map:
    """`values` with every unknown pixel replaced by the nearest known one."""
    unknown = (~known).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        unknown, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(int(labels.max()) + 1, np.float32)
    of_label[labels[known]] = values[known]
    return np.asarray(of_label[labels])


def _believed(planes: Planes, view: View, max_cost: float) -> DepthMap:
    depth = np.float32(1) / planes.w
    good = planes.cost < max_cost
    good &= _large_enough(planes.w, good)
    normals = np.rint(normals_of(planes, view.K) * NORMAL_SCALE).astype(np.int8)
    confidence = np.clip(np.rint((1 - planes.cost / WORST) * 255), 1, 255)
    return DepthMap(
        depth=np.where(good, depth, np.float32(0)),
        normals=normals,
        confidence=np.where(good, confidence, 0).astype(np.uint8),
    )


def _large_enough(w: Map, good: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    # filterSpeckles wants 16 bit integers: the logarithm makes equal steps equal relative changes
    steps = np.where(good, np.clip(np.log(w / w[good].min(initial=1.0)), -16, 16) * 1000, -32000)
    speckled = steps.astype(np.int16)
    cv2.filterSpeckles(speckled, -32000, int(SPECKLE_SHARE * w.size), SPECKLE_STEP * 1000)
    return np.asarray(speckled != -32000)
