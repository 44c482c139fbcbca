"""Stage `dense`: a depth map for every undistorted photo."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from insaat_cli.engine.depth import Effort, Gray, measure_depth
from insaat_cli.engine.depth_maps import DepthView, write_index
from insaat_cli.engine.photo_mask import read_mask
from insaat_cli.engine.views import Scene, depth_range, load_scene, select_neighbours
from insaat_cli.errors import StageError
from insaat_cli.stages.contract import Events, Metrics, StageRequest, parse_options, run_stage


@dataclass(frozen=True, kw_only=True)
class DenseOptions:
    """How depth is measured."""

    max_side: int = 800
    """Longest side of a depth map in pixels."""
    neighbours: int = 4
    """Photos that each photo is compared with."""
    witnesses: int = 8
    """Photos that may later confirm its depth."""
    best_views: int = 2
    """Of these, how many must look alike at a pixel."""
    coarse_sweeps: int = 3
    fine_sweeps: int = 2
    max_cost: float = 0.65
    """Largest matching cost (1 - NCC) of a depth that is kept."""


def make_depth_maps(
    model: Path,
    images: Path,
    output: Path,
    options: DenseOptions,
    *,
    threads: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> Metrics:
    """Write `output`/*.npz and `output`/views.json from an undistorted model and its photos.

    At most `threads` views and their neighbours are in memory at a time. Raises StageError if
    no view has a neighbour.
    """
    cv2.setNumThreads(1)
    scene = load_scene(model)
    neighbours = select_neighbours(scene, max(options.witnesses, options.neighbours))
    chosen = [index for index, others in enumerate(neighbours) if others]
    if not chosen:
        raise StageError(
            "no two photos see enough of the same points to measure depth",
            hint="take photos with more overlap",
        )
    entries = _index_entries(scene, chosen, neighbours, options.max_side)
    output.mkdir(parents=True, exist_ok=True)

    @lru_cache(maxsize=2 * threads + options.neighbours)
    def gray_of(index: int) -> Gray:
        view = scene.views[index].fitted(options.max_side)
        return load_gray(images / view.name, view.width, view.height)

    def measure(entry: DepthView, index: int) -> float:
        others = neighbours[index][: options.neighbours]
        result = measure_depth(
            entry.view,
            gray_of(index),
            [scene.views[other].fitted(options.max_side) for other in others],
            [gray_of(other) for other in others],
            (entry.near, entry.far),
            Effort(
                coarse_sweeps=options.coarse_sweeps,
                fine_sweeps=options.fine_sweeps,
                best_views=options.best_views,
                max_cost=options.max_cost,
            ),
        )
        kept = read_mask(images / entry.view.name, entry.view.width, entry.view.height)
        counting = np.ones(result.depth.shape, bool) if kept is None else kept
        result.depth[~counting], result.confidence[~counting] = 0, 0
        result.save(output / entry.file)
        known = result.depth[counting] > 0
        return float(np.mean(known)) if known.size else 0.0

    shares = []
    with ThreadPoolExecutor(threads) as pool:
        for share in pool.map(measure, entries, chosen):
            shares.append(share)
            progress(len(shares) / len(entries))
    write_index(output, entries)
    return {
        "depth_maps": len(entries),
        "without_neighbours": len(scene.views) - len(entries),
        "filled": round(float(np.mean(shares)), 4),
    }


def _index_entries(
    scene: Scene, chosen: list[int], neighbours: list[list[int]], max_side: int
) -> list[DepthView]:
    place = {index: position for position, index in enumerate(chosen)}
    entries = []
    for index in chosen:
        near, far = depth_range(scene, index)
        entries.append(
            DepthView(
                view=scene.views[index].fitted(max_side),
                file=f"{place[index]:05d}.npz",
                neighbours=tuple(place[other] for other in neighbours[index] if other in place),
                near=near,
                far=far,
            )
        )
    return entries


def load_gray(path: Path, width: int, height: int) -> Gray:
    """The photo in gray at the given size; decoded smaller where that is enough.

    Raises StageError if the file cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise StageError(f"cannot read {path.name}", hint="run again with --from undistort")
    if image.shape == (height, width):
        return np.asarray(image, np.uint8)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def main(request: StageRequest, events: Events) -> Metrics:
    source = request.inputs["undistort"]
    return make_depth_maps(
        source / "model",
        source / "images",
        request.output / "depth",
        parse_options(DenseOptions, request.params),
        threads=request.threads,
        progress=events.progress,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
