"""Hand our own cameras over to OpenMVS: the undistorted photos, and scene.mvs."""

from __future__ import annotations

import shutil
import sys

from insaat_cli.engine.colmap.model_files import read_model, write_text
from insaat_cli.errors import StageError
from insaat_cli.external.openmvg import link_folder
from insaat_cli.external.run_program import ProgramCall, run_program
from insaat_cli.pipeline.stage_contract import Events, Metrics, StageRequest, run_stage


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    output, undistorted = request.output, request.inputs["undistort"]
    link_folder(undistorted / "images", output / "images")
    model = read_model(undistorted / "model")
    # InterfaceCOLMAP of OpenMVS 2.3 cannot read the binary files of newer COLMAPs.
    text = output / "colmap" / "sparse"
    text.mkdir(parents=True)
    write_text(model, text)
    events.progress(0.3)
    run_program(
        ProgramCall(
            program="InterfaceCOLMAP",
            arguments=["-w", str(output), "-i", "colmap", "-o", "scene.mvs",
                       "--image-folder", "images", "--max-threads", str(request.threads)],
            folder=output,
        ),
        events.progress,
    )  # fmt: skip
    shutil.rmtree(output / "colmap")
    if not (output / "scene.mvs").exists():
        raise StageError("InterfaceCOLMAP wrote no scene", hint="see the stage log")
    return {"photos": len(model.images), "points": len(model.points)}


if __name__ == "__main__":
    sys.exit(run_stage(main))
