"""Surface mesh with OpenMVS's ReconstructMesh."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from insaat_cli.external.openmvs import run_openmvs, scene_folder
from insaat_cli.external.openmvs_cloud import count_elements
from insaat_cli.external.program_progress import Phase
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)
from insaat_cli.stages.openmvs_dense import DENSE_CLOUD, DENSE_SCENE

MESH = "mesh.ply"


@dataclass(frozen=True, kw_only=True)
class SurfaceOptions:
    """The program's own options, under its own names."""

    min_point_distance: float = 2.5
    integrate_only_roi: bool = False
    constant_weight: bool = True
    free_space_support: bool = False
    thickness_factor: float = 1.0
    quality_factor: float = 1.0
    decimate: float = 1.0
    target_face_num: int = 0
    remove_spurious: float = 20.0
    remove_spikes: bool = True
    close_holes: int = 30
    smooth: int = 2
    edge_length: float = 0.0
    crop_to_roi: bool = True
    cuda_device: int | None = None


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage: writes `mesh.ply`."""
    dense, output = request.inputs["dense"], request.output
    options = parse_options(SurfaceOptions, request.params)
    with scene_folder(output, request.inputs["scene"], dense / DENSE_SCENE, dense / DENSE_CLOUD):
        run_openmvs(
            "ReconstructMesh",
            ["-i", DENSE_SCENE, "-p", DENSE_CLOUD, "-o", MESH],
            options,
            output,
            threads=request.threads,
            phases=[
                Phase(text="Points inserted", weight=1.0),
                Phase(text="Points weighted", weight=1.0),
                Phase(text="Decimated faces", weight=0.3),
            ],
            progress=events.progress,
        )
    mesh = output / MESH
    return {"faces": count_elements(mesh, "face"), "vertices": count_elements(mesh, "vertex")}


if __name__ == "__main__":
    sys.exit(run_stage(main))
