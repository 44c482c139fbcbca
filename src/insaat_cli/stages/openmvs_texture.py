"""Texture with OpenMVS's TextureMesh, as one GLB like the embedded pipeline's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import StageError
from insaat_cli.external.openmvs import SCENE, run_openmvs, scene_folder
from insaat_cli.external.openmvs_cloud import count_elements
from insaat_cli.external.openmvs_gltf import read_textured, textured_share
from insaat_cli.external.program_progress import Phase
from insaat_cli.mesh_io.textured_mesh import write_glb
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)
from insaat_cli.stages.openmvs_surface import MESH

PAINTED = "painted.glb"
"""GLB, never OBJ: the OBJ export of OpenMVS 2.3.0 crashes."""
EMPTY_COLOR = (128, 128, 128)
JPEG_QUALITY = 92


@dataclass(frozen=True, kw_only=True)
class TextureOptions:
    """The program's own options, under its own names."""

    decimate: float = 1.0
    close_holes: int = 30
    resolution_level: int = 0
    min_resolution: int = 640
    outlier_threshold: float = 0.06
    cost_smoothness_ratio: float = 0.1
    virtual_face_images: int = 0
    global_seam_leveling: bool = True
    local_seam_leveling: bool = True
    texture_size_multiple: int = 0
    patch_packing_heuristic: int = 3
    sharpness_weight: float = 0.5
    max_texture_size: int = 8192
    cuda_device: int | None = None


def paint_mesh(
    scene: Path,
    mesh: Path,
    output: Path,
    options: TextureOptions,
    *,
    threads: int,
    events: Events,
) -> Metrics:
    """Write `model.glb`. Raises StageError where nothing was painted, whatever the exit status."""
    if count_elements(mesh, "face") == 0:
        raise StageError("the surface is empty", hint="rerun with --from surface")
    red, green, blue = EMPTY_COLOR
    color = str(red << 16 | green << 8 | blue)
    with scene_folder(output, scene, mesh):
        run_openmvs(
            "TextureMesh",
            ["-i", SCENE, "-m", mesh.name, "-o", PAINTED, "--export-type", "glb",
             "--empty-color", color],
            options,
            output,
            threads=threads,
            phases=[Phase(text="Initialized views")],
            progress=lambda share: events.progress(0.5 * share),
        )  # fmt: skip
    if not (output / PAINTED).exists():
        raise StageError("TextureMesh finished without an error but wrote no mesh")
    textured = read_textured(output / PAINTED)
    events.progress(0.8)
    write_glb(textured, output / "model.glb", jpeg_quality=JPEG_QUALITY)
    for leftover in output.glob("painted*"):
        leftover.unlink()
    height, width = textured.texture.shape[:2]
    return {
        "faces": len(textured.faces),
        "textured_share": round(textured_share(textured, EMPTY_COLOR), 4),
        "texture_width": width,
        "texture_height": height,
    }


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    return paint_mesh(
        request.inputs["scene"],
        request.inputs["refine"] / MESH,
        request.output,
        parse_options(TextureOptions, request.params),
        threads=request.threads,
        events=events,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
