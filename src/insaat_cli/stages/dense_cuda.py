"""Part of stage `dense`: COLMAP's PatchMatch on CUDA, in a process of its own.

    python -m insaat_cli.stages.dense_cuda WORKSPACE MAX_SIDE CACHE_GB

COLMAP ends the whole process when the graphics card fails; the stage must live on to say so, or to
measure depth without it. The process belongs to the stage's group and ends with it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from insaat_cli.engine.scene.views import View
from insaat_cli.engine.stereo.colmap_cuda import (
    CudaJob,
    read_depth_map,
    share_written,
    write_workspace,
)
from insaat_cli.engine.stereo.depth_map_files import DepthMap, DepthView
from insaat_cli.errors import StageError

LOOK_EVERY_S = 0.2
MODULE = "insaat_cli.stages.dense_cuda"
CONVERSION = 0.05
"""Share of the work that is turning maps of COLMAP into ours."""


def measure_on_cuda(
    job: CudaJob,
    entries: Sequence[DepthView],
    full_size: Sequence[View],
    *,
    scratch_in: Path,
    keep: Callable[[DepthView, DepthMap], float],
    progress: Callable[[float], None],
) -> tuple[list[DepthView], list[float]]:
    """Hand the depth map of each of `entries` to `keep`, which tells its share of known pixels.

    `full_size` are the cameras of the photos themselves. Returns the entries at the size that
    COLMAP gave them, and the shares. Raises StageError if the graphics card fails.
    """
    with tempfile.TemporaryDirectory(prefix="colmap-", dir=scratch_in) as scratch:
        folder = Path(scratch)
        write_workspace(folder, job)
        run_in_own_process(folder, job, lambda share: progress(share * (1 - CONVERSION)))
        measured, shares = [], []
        for entry, view in zip(entries, full_size, strict=True):
            depth_map = read_depth_map(folder, view.name) or nothing_known(entry.view)
            height, width = depth_map.depth.shape
            measured.append(replace(entry, view=view.resized(width, height)))
            shares.append(keep(measured[-1], depth_map))
            progress(1 - CONVERSION * (1 - len(shares) / len(entries)))
    return measured, shares


def nothing_known(view: View) -> DepthMap:
    """For a photo that COLMAP could not compare with any other."""
    size = (view.height, view.width)
    return DepthMap(
        depth=np.zeros(size, np.float32),
        normals=np.zeros((*size, 3), np.int8),
        confidence=np.zeros(size, np.uint8),
    )


def run_in_own_process(folder: Path, job: CudaJob, progress: Callable[[float], None]) -> None:
    """COLMAP's part. Raises StageError if it fails."""
    arguments = [str(folder), str(job.max_side), str(job.cache_gb)]
    process = subprocess.Popen([sys.executable, "-P", "-m", MODULE, *arguments])
    try:
        while process.poll() is None:
            progress(share_written(folder, len(job.sources)))
            time.sleep(LOOK_EVERY_S)
    finally:
        process.kill()
    if process.wait() != 0:
        raise StageError(
            "COLMAP's PatchMatch failed on the graphics card",
            hint="see the stage log, or use --set dense.stereo=own",
        )


def main(arguments: Sequence[str]) -> int:
    """The process of its own."""
    folder, max_side, cache_gb = arguments
    # Not on every platform, and only this process needs it.
    from insaat_cli.engine.colmap.pycolmap_door import pycolmap

    options = pycolmap.PatchMatchOptions()
    options.max_image_size = int(max_side)
    options.geom_consistency = True
    options.filter = True
    options.allow_missing_files = True
    options.cache_size = float(cache_gb)
    pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
    pycolmap.patch_match_stereo(Path(folder), options=options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
