"""Dense point cloud with OpenMVS's DensifyPointCloud."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from insaat_cli.errors import DoNotFitError, StageError
from insaat_cli.external.openmvs import SCENE, run_openmvs, scene_folder
from insaat_cli.external.openmvs_cloud import read_mvs_cloud
from insaat_cli.external.openmvs_sub_scenes import join_sub_scenes, remove_sub_scenes, split_scene
from insaat_cli.external.program_progress import Phase
from insaat_cli.mesh_io.ply import write_cloud
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

DENSE_SCENE, DENSE_CLOUD = "scene_dense.mvs", "scene_dense.ply"
ALL_AT_ONCE, DEPTH_MAPS_ONLY = 0, 1


@dataclass(frozen=True, kw_only=True)
class DenseOptions:
    """The program's own options, under its own names; None leaves one to the program."""

    resolution_level: int = 1
    max_resolution: int = 2560
    min_resolution: int = 640
    sub_resolution_levels: int = 2
    number_views: int = 5
    number_views_fuse: int = 3
    iters: int = 3
    geometric_iters: int = 2
    estimate_colors: int = 2
    estimate_normals: int = 2
    postprocess_dmaps: int = 7
    filter_point_cloud: int = 0
    fusion_mode: int = ALL_AT_ONCE
    """0 depth maps, -2 disparity maps."""
    sub_scene_area: float = 0.0
    """0: the scene is fused as a whole. Its unit follows from the scene's; the log says the sum."""
    sub_scenes: int = 0
    """Ours: about so many sub-scenes, by an area that makes them."""
    estimate_roi: int = 2
    crop_to_roi: bool = True
    tower_mode: int = 0
    """Off: it takes Z for up."""
    cuda_device: int | None = None
    """Only builds with CUDA know it: -2 CPU, -1 best GPU, 0 and up one GPU."""


def densify(
    scene: Path, output: Path, options: DenseOptions, *, threads: int, events: Events
) -> Metrics:
    """Write `scene_dense.mvs`, `scene_dense.ply` and `cloud.ply` from a scene's folder.

    Raises StageError where the program wrote no cloud, whatever its exit status.
    """
    run = _Densify(output, threads, events)
    parts = 1
    with scene_folder(output, scene):
        in_parts = options.sub_scene_area > 0 or options.sub_scenes > 1
        if in_parts and options.fusion_mode == ALL_AT_ONCE:
            parts = _densify_in_parts(run, options)
        else:
            if in_parts:
                events.warning("fused as a whole: only depth maps can be fused in sub-scenes")
            run(SCENE, replace(options, sub_scene_area=0.0), until=0.95)
    if not (output / DENSE_CLOUD).exists():
        raise StageError("DensifyPointCloud finished without an error but wrote no cloud")
    cloud = read_mvs_cloud(output / DENSE_CLOUD)
    if not len(cloud.points):
        raise DoNotFitError(
            "DensifyPointCloud finished without an error but its cloud is empty",
            hint="take sharper photos with more overlap; plain or shiny surfaces do not work",
        )
    write_cloud(output / "cloud.ply", cloud)
    low, high = np.percentile(cloud.points, [5.0, 95.0], axis=0)
    return {
        "points": len(cloud.points),
        "sub_scenes": parts,
        "extents": [round(float(extent), 4) for extent in high - low],
    }


class _Densify:
    """Runs of the program in one folder, whose progress adds up."""

    def __init__(self, folder: Path, threads: int, events: Events) -> None:
        self.folder, self.threads, self.events = folder, threads, events
        self.done = 0.0

    def __call__(self, scene: str, options: DenseOptions, *, until: float) -> None:
        """`until` is the share of all the stage's work that is done afterwards."""
        start, part = self.done, until - self.done
        geometric = [Phase(text="Geometric-consistent estimated", weight=1.0)]
        run_openmvs(
            "DensifyPointCloud",
            ["-i", scene, "-o", f"{scene.removesuffix('.mvs')}_dense.mvs"],
            options,
            self.folder,
            threads=self.threads,
            phases=[
                Phase(text="Estimated depth-maps", weight=2.0),
                *geometric * options.geometric_iters,
                Phase(text="Filtered depth-maps", weight=0.1),
                Phase(text="Fused depth-maps", weight=0.3),
            ],
            progress=lambda share: self.events.progress(start + part * share),
        )
        self.done = until


def _densify_in_parts(run: _Densify, options: DenseOptions) -> int:
    """Depth maps of the whole scene first, fused by sub-scenes then; returns how many of those."""
    area, count = options.sub_scene_area, options.sub_scenes
    whole = replace(options, sub_scene_area=0.0)
    run(SCENE, replace(whole, fusion_mode=DEPTH_MAPS_ONLY), until=0.8)
    parts = split_scene(
        run.folder,
        lambda area: run(SCENE, replace(whole, sub_scene_area=area), until=0.82),
        area=area,
        count=count,
    )
    # The depth maps are finished, and a part ends at its box.
    fuse = replace(whole, geometric_iters=0, postprocess_dmaps=0, tower_mode=0)
    if not parts:
        run(SCENE, fuse, until=0.95)
        return 1
    fuse = replace(fuse, crop_to_roi=True)
    for number, part in enumerate(parts, 1):
        run(part.name, fuse, until=0.82 + 0.13 * number / len(parts))
    join_sub_scenes(parts, run.folder / DENSE_CLOUD)
    remove_sub_scenes(run.folder)
    return len(parts)


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    return densify(
        request.inputs["scene"],
        request.output,
        parse_options(DenseOptions, request.params),
        threads=request.threads,
        events=events,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
