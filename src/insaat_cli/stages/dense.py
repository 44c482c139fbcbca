"""Stage `dense`: a depth map for every undistorted photo."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from insaat_cli.engine.scene.views import Scene, load_scene
from insaat_cli.engine.stereo.colmap_cuda import CudaJob, why_no_cuda
from insaat_cli.engine.stereo.depth_map import Effort, Gray, measure_depth
from insaat_cli.engine.stereo.depth_map_files import DepthMap, DepthView, write_index
from insaat_cli.engine.stereo.neighbours import depth_range, select_neighbours
from insaat_cli.engine.working_images import read_mask
from insaat_cli.errors import DoNotFitError, StageError
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)
from insaat_cli.stages.dense_cuda import measure_on_cuda

GIGABYTE = 1e9
MIN_CACHE_GB = 0.5


class Stereo(StrEnum):
    """Whose stereo measures depth."""

    AUTO = "auto"
    """COLMAP's where pycolmap has CUDA and there is a card for it, else ours."""
    OWN = "own"
    CUDA = "cuda"


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
    coarse_sweeps: int = 4
    fine_sweeps: int = 2
    max_cost: float = 0.65
    """Largest matching cost (1 - NCC) of a depth that is kept."""
    stereo: Stereo = Stereo.AUTO
    """CUDA takes `witnesses` photos to compare with, and none of the numbers between."""


def make_depth_maps(
    model: Path,
    images: Path,
    output: Path,
    options: DenseOptions,
    *,
    threads: int = 1,
    memory_bytes: int = 0,
    progress: Callable[[float], None] = lambda share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Metrics:
    """Write `output`/*.npz and `output`/views.json from an undistorted model and its photos.

    At most `threads` views and their neighbours are in memory at a time. Raises DoNotFitError
    if no view has a neighbour.
    """
    stereo = chosen_stereo(options.stereo)
    scene = load_scene(model)
    neighbours = select_neighbours(scene, max(options.witnesses, options.neighbours))
    chosen = [index for index, others in enumerate(neighbours) if others]
    if not chosen:
        raise DoNotFitError(
            "no two photos share enough points to measure depth",
            hint="take photos with more overlap",
        )
    entries = _index_entries(scene, chosen, neighbours, options.max_side)
    output.mkdir(parents=True, exist_ok=True)
    shares: list[float] = []
    if stereo is Stereo.CUDA:
        job = _cuda_job(model, images, entries, options.max_side, memory_bytes)
        views = [scene.views[index] for index in chosen]
        try:
            entries, shares = measure_on_cuda(
                job,
                entries,
                views,
                scratch_in=output.parent,
                keep=lambda entry, result: _keep(entry, result, images, output),
                progress=progress,
            )
        except StageError as error:
            if options.stereo is Stereo.CUDA:
                raise
            warn(f"{error.message}; continuing on the processor")
            stereo = Stereo.OWN
    if stereo is Stereo.OWN:
        for share in _measure(scene, neighbours, entries, chosen, images, output, options, threads):
            shares.append(share)
            progress(len(shares) / len(entries))
    write_index(output, entries)
    return {
        "depth_maps": len(entries),
        "without_neighbours": len(scene.views) - len(entries),
        "filled": round(float(np.mean(shares)), 4),
        "stereo": stereo.value,
    }


def chosen_stereo(wanted: Stereo) -> Stereo:
    """`OWN` or `CUDA`. Raises StageError if CUDA is wanted and cannot be had."""
    if wanted is Stereo.OWN:
        return Stereo.OWN
    missing = why_no_cuda()
    if not missing:
        return Stereo.CUDA
    if wanted is Stereo.CUDA:
        raise StageError(
            f"dense.stereo is cuda, but {missing}",
            hint="install pycolmap-cuda12 instead of pycolmap, and the driver of the card; or drop "
            "--set dense.stereo",
        )
    return Stereo.OWN


def _cuda_job(
    model: Path, images: Path, entries: list[DepthView], max_side: int, memory_bytes: int
) -> CudaJob:
    names = [entry.view.name for entry in entries]
    return CudaJob(
        model=model,
        images=images,
        sources={
            entry.view.name: tuple(names[place] for place in entry.neighbours)
            for entry in entries
            if entry.neighbours
        },
        max_side=max_side,
        cache_gb=max(MIN_CACHE_GB, 0.5 * memory_bytes / GIGABYTE),
    )


def _measure(
    scene: Scene,
    neighbours: list[list[int]],
    entries: list[DepthView],
    chosen: list[int],
    images: Path,
    output: Path,
    options: DenseOptions,
    threads: int,
) -> Iterator[float]:
    """Our own stereo: the share of known pixels of each depth map, as it is written."""
    cv2.setNumThreads(1)

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
        return _keep(entry, result, images, output)

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(measure, entries, chosen)


def _keep(entry: DepthView, result: DepthMap, images: Path, output: Path) -> float:
    """Write a depth map without what the photo's mask hides; the known share of the rest."""
    height, width = result.depth.shape
    kept = read_mask(images / entry.view.name, width, height)
    counting = np.ones(result.depth.shape, bool) if kept is None else kept
    result.depth[~counting], result.confidence[~counting] = 0, 0
    result.save(output / entry.file)
    known = result.depth[counting] > 0
    return float(np.mean(known)) if known.size else 0.0


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
        raise StageError(f"cannot read {path.name}", hint="rerun with --from undistort")
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
        memory_bytes=request.memory_bytes,
        progress=events.progress,
        warn=events.warning,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
