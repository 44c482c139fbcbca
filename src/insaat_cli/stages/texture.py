"""texture: paint the surface with the photos."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numba
import numpy as np

from insaat_cli.engine.colmap.model_files import read_model
from insaat_cli.engine.texture.painter import PaintOptions, PaintSummary, paint
from insaat_cli.engine.texture.photo import Photo
from insaat_cli.errors import StageError
from insaat_cli.mesh_io.ply import read_mesh
from insaat_cli.mesh_io.textured_mesh import write_glb
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

LARGEST_SIZE = 16384
"""Graphics cards take no larger textures."""


@dataclass(frozen=True, kw_only=True)
class TextureOptions:
    """Parameters of the stage."""

    size: int = 4096
    """Longest side of a page of the texture, in texels; smaller where the photos carry less."""
    pages: int = 2
    """A further page is used where less than 70 % of the photos' resolution would be kept."""
    smoothness: float = 1.0
    """Higher values give larger charts and fewer seams, from less favorable photos."""
    levelling: bool = True
    """Even out brightness and color between photos."""
    reject_outliers: bool = True
    """Leave out photos that disagree with the others about a face."""
    jpeg_quality: int = 92


def texture_surface(
    mesh_path: Path,
    images: Path,
    model: Path,
    output: Path,
    options: TextureOptions,
    *,
    threads: int,
    progress: Callable[[float], None],
) -> PaintSummary:
    """Paint `mesh_path` (PLY) with the undistorted photos in `images`; write a GLB to `output`.

    `model` is the PINHOLE COLMAP model of the photos. Raises StageError if the mesh is empty or no
    photo sees it.
    """
    vertices, faces = read_mesh(mesh_path)
    if not len(faces):
        raise StageError("the surface is empty", hint="rerun with --from surface")
    textured, summary = paint(
        vertices.astype(np.float64),
        faces,
        load_photos(images, model),
        PaintOptions(
            largest_side=options.size,
            max_pages=options.pages,
            smoothness=options.smoothness,
            levelling=options.levelling,
            reject_outliers=options.reject_outliers,
        ),
        threads=threads,
        progress=lambda share: progress(0.95 * share),
    )
    write_glb(textured, output, jpeg_quality=options.jpeg_quality)
    return summary


def load_photos(images: Path, model: Path) -> list[Photo]:
    """The photos of a PINHOLE COLMAP model, ordered by name."""
    found = read_model(model)
    photos = []
    for image in sorted(found.images.values(), key=lambda image: image.name):
        camera = found.cameras[image.camera_id]
        photos.append(
            Photo(
                path=images / image.name,
                width=camera.width,
                height=camera.height,
                K=camera.calibration_matrix(),
                cam_from_world=image.cam_from_world,
            )
        )
    return photos


def main(request: StageRequest, events: Events) -> Metrics:
    options = parse_options(TextureOptions, request.params)
    cv2.setNumThreads(request.threads)
    numba.set_num_threads(request.threads)
    undistorted = request.inputs["undistort"]
    summary = texture_surface(
        request.inputs["surface"] / "mesh.ply",
        undistorted / "images",
        undistorted / "model",
        request.output / "model.glb",
        options,
        threads=request.threads,
        progress=events.progress,
    )
    if summary.texels_per_pixel < 0.7 and options.size < LARGEST_SIZE:
        events.warning(
            f"the texture has {summary.texels_per_pixel:.0%} of the photos' resolution; "
            f"--set texture.size={min(2 * options.size, LARGEST_SIZE)} keeps more"
        )
    return asdict(summary)


if __name__ == "__main__":
    sys.exit(run_stage(main))
