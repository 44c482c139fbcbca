"""Sharper surface with OpenMVS's RefineMesh; off unless asked for."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.external.openmvs import SCENE, run_openmvs, scene_folder
from insaat_cli.external.openmvs_cloud import count_elements
from insaat_cli.external.program_progress import Phase
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)
from insaat_cli.stages.openmvs_surface import MESH

ROUGH = "rough.ply"


@dataclass(frozen=True, kw_only=True)
class RefineOptions:
    """The program's own options, under its own names; `enabled` is ours."""

    enabled: bool = False
    resolution_level: int = 0
    min_resolution: int = 640
    max_views: int = 8
    decimate: float = 0.0
    close_holes: int = 30
    ensure_edge_size: int = 1
    max_face_area: int = 32
    scales: int = 2
    scale_step: float = 0.5
    regularity_weight: float = 0.2
    rigidity_elasticity_ratio: float = 0.9
    gradient_step: float = 45.05
    planar_vertex_ratio: float = 0.0
    reduce_memory: bool = True
    cuda_device: int | None = None


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage: writes `mesh.ply`, the one it was given where it is off."""
    options = parse_options(RefineOptions, request.params)
    rough, output = request.inputs["surface"] / MESH, request.output
    if not options.enabled:
        _link(rough, output / MESH)
    else:
        _link(rough, output / ROUGH)
        with scene_folder(output, request.inputs["scene"]):
            run_openmvs(
                "RefineMesh",
                ["-i", SCENE, "-m", ROUGH, "-o", MESH],
                options,
                output,
                threads=request.threads,
                phases=[Phase(text="Processed iterations")] * max(options.scales, 1),
                progress=events.progress,
            )
        (output / ROUGH).unlink()
    mesh = output / MESH
    return {
        "refined": options.enabled,
        "faces": count_elements(mesh, "face"),
        "vertices": count_elements(mesh, "vertex"),
    }


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


if __name__ == "__main__":
    sys.exit(run_stage(main))
