"""Splitting a scene, so that OpenMVS fuses its depth maps in parts.

Fusing holds the depth maps of all photos at once (some 28 bytes a pixel), which is the most memory
that a large set needs. `--sub-scene-area` splits a scene whose depth maps are measured into boxes
with the photos that see them; each is fused alone and cut off at its box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from insaat_cli.external.openmvs_cloud import join_clouds
from insaat_cli.external.openmvs_files import read_sub_scene, sampling_area

DEPTH_MAPS = "depth*[0-9].dmap"
SUB_SCENES = "scene_[0-9][0-9][0-9][0-9].mvs"
LEFTOVERS = ("scene_[0-9][0-9][0-9][0-9]*", "scene_obb.ply")
TRIES = 5
"""How often an area is halved that split nothing: photos that see everything keep it together."""


def split_scene(
    folder: Path, split: Callable[[float], object], *, area: float, count: int
) -> list[Path]:
    """The sub-scenes of the scene in `folder`, whose depth maps are there; [] if it stays whole.

    `split` runs the program with a sampling area. `area` 0: one that makes about `count` of them.
    """
    if area > 0:
        return _attempt(folder, split, area)
    whole = sum(map(sampling_area, folder.glob(DEPTH_MAPS)))
    print(f"sampling area of the whole scene: {whole:g}", flush=True)
    for halved in range(TRIES if whole > 0 else 0):
        if parts := _attempt(folder, split, whole / count / 2**halved):
            return parts
    return []


def join_sub_scenes(parts: Sequence[Path], target: Path) -> None:
    """Write the fused clouds of `parts` into one, as that of the whole scene.

    A part in which nothing was found has none. Raises StageError for files that are cut off.
    """
    clouds = {fused_cloud(part): part for part in parts}
    fused = {path: read_sub_scene(part) for path, part in clouds.items() if path.exists()}
    target.unlink(missing_ok=True)
    if fused:
        join_clouds(fused, target)


def fused_cloud(part: Path) -> Path:
    """Where the cloud of a sub-scene is written."""
    return part.with_name(f"{part.stem}_dense.ply")


def remove_sub_scenes(folder: Path) -> None:
    """Delete what splitting and fusing in parts left."""
    for pattern in LEFTOVERS:
        for path in folder.glob(pattern):
            path.unlink()


def _attempt(folder: Path, split: Callable[[float], object], area: float) -> list[Path]:
    remove_sub_scenes(folder)
    split(area)
    parts = sorted(folder.glob(SUB_SCENES))
    if len(parts) < 2:
        remove_sub_scenes(folder)
        return []
    return parts
