"""Hand OpenMVG's cameras over to OpenMVS: undistorted photos and scene.mvs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from insaat_cli.errors import StageError
from insaat_cli.external.openmvg_sfm_data import read_sfm_data, write_sfm_data
from insaat_cli.external.program_progress import Phase
from insaat_cli.external.run_program import ProgramCall, run_program
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)


@dataclass(frozen=True, kw_only=True)
class OpenmvgSceneOptions:
    """The program has no settings."""


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    parse_options(OpenmvgSceneOptions, request.params)
    output = request.output
    images = request.inputs["resize"] / "images"
    scene = replace(read_sfm_data(request.inputs["sparse"] / "sfm_data.json"), images=str(images))
    write_sfm_data(scene, output / "sfm_data.json")
    arguments = ["-i", "sfm_data.json", "-o", "scene.mvs", "-d", "images"]
    run_program(
        ProgramCall(
            program="openMVG_main_openMVG2openMVS",
            arguments=[*arguments, "-n", str(request.threads)],
            folder=output,
            phases=[
                Phase(text="PROCESS VIEWS", weight=0.1),
                Phase(text="UNDISTORT IMAGES"),
            ],
        ),
        events.progress,
    )
    (output / "sfm_data.json").unlink()
    written = sum(1 for path in (output / "images").glob("*") if path.stat().st_size)
    if written < len(scene.poses):
        raise StageError(
            f"OpenMVG undistorted {written} of {len(scene.poses)} photos",
            hint="is the disk full? see the stage log",
        )
    return {"photos": written}


if __name__ == "__main__":
    sys.exit(run_stage(main))
