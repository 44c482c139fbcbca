"""Remove lens distortion: every later stage works with pinhole cameras."""

from __future__ import annotations

import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from insaat_cli.engine.colmap.model_files import read_model, write_model
from insaat_cli.engine.sfm.undistortion import PinholeView, pinhole_view, undistorted_model
from insaat_cli.engine.working_images import read_mask, write_mask
from insaat_cli.errors import StageError
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)


@dataclass(frozen=True, kw_only=True)
class UndistortOptions:
    """How the undistorted pictures are written."""

    quality: int = 97
    """JPEG quality."""
    multiple_of: int = 1
    """Sides of the pictures are multiples of this, in pixels: some programs need such sizes."""


def undistort_photos(
    model_folder: Path,
    images: Path,
    output: Path,
    options: UndistortOptions,
    *,
    threads: int,
    events: Events,
) -> Metrics:
    """Write `images/` and `model/` (PINHOLE) for the registered photos of a COLMAP model."""
    cv2.setNumThreads(1)
    model = read_model(model_folder)
    views = {
        camera_id: pinhole_view(camera, options.multiple_of)
        for camera_id, camera in model.cameras.items()
        if any(image.camera_id == camera_id for image in model.images.values())
    }
    folder = output / "images"
    folder.mkdir()
    todo = list(model.images.values())
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for index in range(len(todo) + 2 * threads):
            if index < len(todo):
                name, view = todo[index].name, views[todo[index].camera_id]
                waiting.append(
                    pool.submit(_undistort, images / name, folder / name, view, options.quality)
                )
            if index >= 2 * threads:
                waiting.popleft().result()
                events.progress((index + 1 - 2 * threads) / len(todo))
    (output / "model").mkdir()
    write_model(undistorted_model(model, views), output / "model")
    largest = max(views.values(), key=lambda view: view.width * view.height)
    return {
        "photos": len(todo),
        "width": largest.width,
        "height": largest.height,
        "megapixels_max": round(largest.width * largest.height / 1e6, 3),
    }


def _undistort(source: Path, target: Path, view: PinholeView, quality: int) -> None:
    picture = cv2.imread(str(source), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise StageError(f"{source.name} cannot be read", hint="rerun with --from resize")
    straight = cv2.remap(
        picture, view.map_x, view.map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    kept = read_mask(source, picture.shape[1], picture.shape[0])
    if kept is not None:
        soft = cv2.remap(
            kept.astype(np.float32), view.map_x, view.map_y, cv2.INTER_LINEAR, borderValue=0.0
        )
        write_mask(target, np.asarray(soft > 0.5))
    parameters = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    if not cv2.imwrite(str(target), np.asarray(straight), parameters):
        raise StageError(f"{target.name} cannot be written", hint="is the disk full?")


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    return undistort_photos(
        request.inputs["sparse"] / "model",
        request.inputs["resize"] / "images",
        request.output,
        parse_options(UndistortOptions, request.params),
        threads=request.threads,
        events=events,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
