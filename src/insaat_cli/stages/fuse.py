"""Stage `fuse`: keep the depths that several photos agree on, and join them into one cloud."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.engine.bounded_map import in_order
from insaat_cli.engine.scene.region_of_interest import Box, Region, region_of, subject_box
from insaat_cli.engine.scene.views import Scene, View, load_scene
from insaat_cli.engine.stereo.agreement import Agreement, agreed_depth
from insaat_cli.engine.stereo.depth_map_files import DepthMap, DepthView, read_index
from insaat_cli.engine.surface.depth_fusion import CellGrid
from insaat_cli.engine.working_images import load_rgb
from insaat_cli.errors import DoNotFitError, InsaatError, StageError, UsageError
from insaat_cli.mesh_io.ply import write_cloud
from insaat_cli.pipeline.region import AUTO, FRAME, OFF, read_box
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

MIN_POINTS = 200
FAR_BEYOND = 2.0
"""Depths count up to so many times that of the region's far end; ground about it lies nearer."""
TOLD_SHARE = 0.01
"""Of what was measured. Where less is outside the region, there was no background."""
MAX_OUTSIDE_SHARE = 0.5
"""Of what was measured. Where so much is outside, it is for the region that nothing is left."""


class OutsideError(StageError):
    """Next to nothing that was measured lies in the region of interest."""

    def __init__(self, *, inside: int, measured: int) -> None:
        super().__init__(f"only {inside:,} of {measured:,} measured points lie in")


@dataclass(frozen=True, kw_only=True)
class FuseOptions:
    """Which depths are joined."""

    views: int = 2
    """Other photos that must agree on a depth."""
    uncontested_views: int = 1
    """So many are enough where none contradicts it."""
    reprojection_px: float = 2.0
    relative_depth: float = 0.01
    normal_angle_deg: float = 75.0
    cell_px: float = 1.0
    """Spacing of the cloud, in pixels of a depth map at the distance of the subject."""
    observations: int = 2
    """Pixels, of all depth maps, that a point of the cloud needs."""
    surrounded: int = 10
    """Points of the cloud within one or two spacings, itself too, that a point needs."""
    roi: str = AUTO
    """What is kept: auto, off or xmin,ymin,zmin,xmax,ymax,zmax (`region_of_interest.py`)."""


def fuse_depth_maps(
    depth: Path,
    images: Path,
    output: Path,
    options: FuseOptions,
    *,
    box: Box | None = None,
    threads: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> Metrics:
    """Write `output`, a PLY cloud, from the depth maps in `depth`; only what is in `box`.

    Raises DoNotFitError if next to nothing is agreed on, OutsideError if that is for the box.
    """
    cv2.setNumThreads(1)
    entries = read_index(depth)
    grid = CellGrid(options.cell_px * subject_pixel(entries, box), _middle(entries))
    kept = outside = measured = 0
    for view, agreed in enumerate(_agreements(depth, images, entries, options, box, threads)):
        grid.add(entries[view].view, agreed.depth, agreed.depth_map, agreed.rgb)
        kept += int(np.count_nonzero(agreed.depth))
        measured += agreed.measured
        outside += agreed.outside
        progress(0.95 * (view + 1) / len(entries))
    spacing, cloud = grid.cell, grid.cloud(options.observations, options.surrounded)
    if len(cloud.points) < MIN_POINTS:
        if outside > MAX_OUTSIDE_SHARE * measured:
            raise OutsideError(inside=measured - outside, measured=measured)
        raise DoNotFitError(
            "hardly any depth is consistent between photos",
            hint="take sharper photos with more overlap; plain or shiny surfaces do not work",
        )
    write_cloud(output, cloud)
    return {
        "points": len(cloud.points),
        "completed_share": round(float(cloud.completed.mean()), 4),
        "depths_agreed": kept,
        "spacing": spacing,
        "outside_roi_share": round(outside / max(1, measured), 4),
    }


@dataclass(frozen=True, kw_only=True)
class _Agreed:
    """What one view adds to the cloud."""

    depth: npt.NDArray[np.float32]
    depth_map: DepthMap
    rgb: npt.NDArray[np.uint8]
    measured: int
    """Pixels with a depth, whether others agree on it or not."""
    outside: int
    """Those of them that were left out, being outside the box."""


def _agreements(
    depth: Path,
    images: Path,
    entries: list[DepthView],
    options: FuseOptions,
    box: Box | None,
    threads: int,
) -> Iterator[_Agreed]:
    """What every view adds, in order; the next ones are worked out meanwhile."""
    angle = float(np.cos(np.radians(options.normal_angle_deg)))

    @lru_cache(maxsize=12 + 2 * threads)
    def map_of(index: int) -> DepthMap:
        return DepthMap.load(depth / entries[index].file)

    def agree(index: int) -> _Agreed:
        entry = entries[index]
        others = entry.neighbours
        own, outside = map_of(index), 0
        measured = int(np.count_nonzero(own.depth))
        if box is not None:
            inside, outside = _within(own.depth, entry.view, box)
            own = replace(own, depth=inside)
        agreed = np.zeros(own.depth.shape, np.float32)
        if others:
            rule = Agreement(
                views=min(options.views, len(others)),
                uncontested_views=min(options.uncontested_views, options.views, len(others)),
                reprojection_px=options.reprojection_px,
                relative_depth=options.relative_depth,
                normal_cosine=angle,
            )
            views, maps = [entries[other].view for other in others], [map_of(o) for o in others]
            agreed, _ = agreed_depth(entry.view, own, views, maps, rule)
        rgb = load_rgb(images / entry.view.name, entry.view.width, entry.view.height)
        return _Agreed(depth=agreed, depth_map=own, rgb=rgb, measured=measured, outside=outside)

    with ThreadPoolExecutor(threads) as pool:
        yield from in_order(pool, agree, range(len(entries)), ahead=threads + 1)


def _within(
    depth: npt.NDArray[np.float32], view: View, box: Box
) -> tuple[npt.NDArray[np.float32], int]:
    """The depth map with 0 for what lies outside the box, and how many pixels that were."""
    K = view.K
    x = ((np.arange(depth.shape[1]) - K[0, 2]) / K[0, 0]).astype(np.float32)[None, :]
    y = ((np.arange(depth.shape[0]) - K[1, 2]) / K[1, 1]).astype(np.float32)[:, None]
    R, center = view.R.astype(np.float32), view.center.astype(np.float32)
    inside = depth > 0
    measured = int(np.count_nonzero(inside))
    for axis, (low, high) in enumerate(zip(box.low, box.high, strict=True)):
        along = depth * (R[0, axis] * x + (R[1, axis] * y + R[2, axis]))
        inside &= (along >= low - center[axis]) & (along <= high - center[axis])
    left = np.where(inside, depth, np.float32(0))
    return left, measured - int(np.count_nonzero(inside))


def subject_pixel(entries: list[DepthView], box: Box | None = None) -> float:
    """Side of a depth map's pixel at the subject, in the world's units.

    A background far beyond `box` does not make the subject's pixels larger.
    """
    sides = []
    for entry in entries:
        far = entry.far
        if box is not None:
            behind = float((box.corners() @ entry.view.R[2] + entry.view.t[2]).max())
            far = min(far, FAR_BEYOND * max(behind, entry.near))
        sides.append((0.7 * entry.near + 0.3 * far) / entry.view.K[0, 0])
    return float(np.median(sides))


def _middle(entries: list[DepthView]) -> npt.NDArray[np.float64]:
    return np.asarray(np.mean([entry.view.center for entry in entries], axis=0))


def describe_removal(region: Region, share: float) -> str:
    """One sentence on what was left out, for the board and the report."""
    why = "photos taken around a subject" if region.capture else "as asked"
    return (
        f"background removed ({why}): {share:.0%} of the depths lie outside the box {region.box}; "
        "use --roi off to keep them"
    )


def explain(error: OutsideError, region: Region, scene: Scene) -> InsaatError:
    """What was asked for, what that left, and where the subject is."""
    subject = subject_box(scene)
    if region.capture:
        return StageError(
            f"{error.message} the region that was found around the subject, {region.box}",
            hint=f"--roi off keeps everything; --roi BOX keeps a box: {FRAME}",
        )
    return UsageError(
        f"{error.message} the region of interest {region.box}",
        hint=f"the subject is in --roi {subject}\na box is {FRAME}",
    )


def parse_box(text: str) -> Box:
    """The box of "xmin,ymin,zmin,xmax,ymax,zmax"; UsageError for anything else."""
    low, high = read_box(text)
    return Box(low=low, high=high)


def region_for(choice: str, scene: Scene) -> Region | None:
    """What `--roi` asks for: None for "off", the scene's own region for "auto", else a box.

    Raises UsageError for a text that is none of these.
    """
    if choice == OFF:
        return None
    if choice != AUTO:
        return Region(capture=None, box=parse_box(choice))
    return region_of(scene)


def main(request: StageRequest, events: Events) -> Metrics:
    undistorted = request.inputs["undistort"]
    options = parse_options(FuseOptions, request.params)
    scene = load_scene(undistorted / "model")
    region = region_for(options.roi, scene)
    try:
        metrics = fuse_depth_maps(
            request.inputs["complete"] / "depth",
            undistorted / "images",
            request.output / "cloud.ply",
            options,
            box=region.box if region else None,
            threads=request.threads,
            progress=events.progress,
        )
    except OutsideError as error:
        assert region is not None
        raise explain(error, region, scene) from None
    found = {} if region is None else region.to_json()
    (request.output / "roi.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    if region and metrics["outside_roi_share"] >= TOLD_SHARE:
        events.warning(describe_removal(region, metrics["outside_roi_share"]))
    return {**metrics, "roi": found}


if __name__ == "__main__":
    sys.exit(run_stage(main))
