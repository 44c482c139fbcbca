"""Dense point cloud with OpenMVS's DensifyPointCloud."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from insaat_cli.classic.mvs_cloud import read_mvs_cloud
from insaat_cli.classic.openmvs import SCENE, run_openmvs, scene_folder
from insaat_cli.classic.progress import Phase
from insaat_cli.engine.ply import write_cloud
from insaat_cli.errors import StageError
from insaat_cli.stages.contract import Events, Metrics, StageRequest, parse_options, run_stage

DENSE_SCENE, DENSE_CLOUD = "scene_dense.mvs", "scene_dense.ply"


@dataclass(frozen=True, kw_only=True)
class DenseOptions:
    """The program's own options, under its own names; "" leaves one to the program."""

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
    fusion_mode: int = 0
    """0 depth maps, -2 disparity maps."""
    estimate_roi: int = 2
    crop_to_roi: bool = True
    tower_mode: int = 0
    """Off: it takes Z for up."""
    cuda_device: str = ""
    """Only builds with CUDA know it: -2 CPU, -1 best GPU, 0 and up one GPU."""


def densify(
    scene: Path, output: Path, options: DenseOptions, *, threads: int, events: Events
) -> Metrics:
    """Write `scene_dense.mvs`, `scene_dense.ply` and `cloud.ply` from a scene's folder.

    Raises StageError where the program wrote no cloud, whatever its exit status.
    """
    geometric = [Phase(text="Geometric-consistent estimated", weight=1.0)]
    phases = [
        Phase(text="Estimated depth-maps", weight=2.0),
        *geometric * options.geometric_iters,
        Phase(text="Filtered depth-maps", weight=0.1),
        Phase(text="Fused depth-maps", weight=0.3),
    ]
    with scene_folder(output, scene):
        run_openmvs(
            "DensifyPointCloud",
            ["-i", SCENE, "-o", DENSE_SCENE],
            options,
            output,
            threads=threads,
            phases=phases,
            progress=lambda share: events.progress(0.95 * share),
        )
    if not (output / DENSE_CLOUD).exists():
        raise StageError("DensifyPointCloud ended without an error, but wrote no cloud")
    cloud = read_mvs_cloud(output / DENSE_CLOUD)
    if not len(cloud.points):
        raise StageError(
            "DensifyPointCloud ended without an error, but its cloud is empty",
            hint="take sharper photos with more overlap of a subject with some texture",
        )
    write_cloud(output / "cloud.ply", cloud)
    low, high = np.percentile(cloud.points, [5.0, 95.0], axis=0)
    return {
        "points": len(cloud.points),
        "extents": [round(float(extent), 4) for extent in high - low],
    }


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
