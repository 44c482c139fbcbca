"""COLMAP's PatchMatch on CUDA (Schönberger et al., ECCV 2016): its workspace, and its maps as ours.

Without a model of its own: cameras and neighbours are those that our stereo would use.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from insaat_cli.engine.colmap.map_files import read_map
from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap

CONFIDENCE = 200
"""COLMAP keeps no matching cost: what it has not filtered out counts the same."""
DRIVER = "libcuda.so.1"


@dataclass(frozen=True, kw_only=True)
class CudaJob:
    """What COLMAP is asked to do."""

    model: Path
    """Undistorted (PINHOLE) model."""
    images: Path
    sources: Mapping[str, Sequence[str]]
    """For each photo that gets a depth map, the photos to compare it with, best first."""
    max_side: int
    """Longest side of a depth map in pixels."""
    cache_gb: float
    """Memory for photos and maps that COLMAP keeps."""


def why_no_cuda() -> str:
    """What is missing for COLMAP's PatchMatch on this machine; "" if nothing is."""
    if find_spec("pycolmap") is None:  # no wheel for this platform
        return "pycolmap is not installed"
    from insaat_cli.engine.colmap.pycolmap_door import pycolmap

    if not pycolmap.has_cuda:
        return "this pycolmap was built without CUDA"
    return "" if cuda_devices() else "no CUDA device was found"


def cuda_devices() -> int:
    """How many graphics cards the CUDA driver offers; 0 without a driver."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def config_text(sources: Mapping[str, Sequence[str]]) -> str:
    """`patch-match.cfg`: a line with a photo, then a line with its source photos."""
    return "".join(f"{name}\n{', '.join(others)}\n" for name, others in sources.items())


def write_workspace(folder: Path, job: CudaJob) -> None:
    """COLMAP's folders for dense reconstruction, without copying a photo."""
    (folder / "images").symlink_to(job.images.resolve(), target_is_directory=True)
    (folder / "sparse").symlink_to(job.model.resolve(), target_is_directory=True)
    for name in ("depth_maps", "normal_maps", "consistency_graphs"):
        (folder / "stereo" / name).mkdir(parents=True)
    config = folder / "stereo" / "patch-match.cfg"
    config.write_text(config_text(job.sources), encoding="utf-8")


def share_written(folder: Path, views: int) -> float:
    """Every view gets a photometric map first, then a geometric one."""
    written = len(list((folder / "stereo" / "depth_maps").glob("*.bin")))
    return min(1.0, written / max(2 * views, 1))


def read_depth_map(folder: Path, name: str) -> DepthMap | None:
    """The geometrically consistent map of one photo; None if COLMAP made none.

    Both programs measure depth along the optical axis and turn normals, in the camera's frame,
    towards the camera.
    """
    file = f"{name}.geometric.bin"
    stereo = folder / "stereo"
    if not (stereo / "depth_maps" / file).exists():
        return None
    depth = read_map(stereo / "depth_maps" / file)[..., 0]
    normals = read_map(stereo / "normal_maps" / file)
    length = np.linalg.norm(normals, axis=2)
    good = np.isfinite(depth) & (depth > 0) & np.isfinite(length) & (length > 0.5)
    unit = np.where(good[..., None], normals / np.maximum(length, 0.5)[..., None], 0)
    return DepthMap(
        depth=np.where(good, depth, np.float32(0)),
        normals=np.rint(unit * NORMAL_SCALE).astype(np.int8),
        confidence=np.where(good, CONFIDENCE, 0).astype(np.uint8),
    )
