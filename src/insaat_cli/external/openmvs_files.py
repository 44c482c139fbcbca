"""OpenMVS's scenes and depth maps, as far as sub-scenes need them (its Interface.h says how)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from insaat_cli.errors import StageError

SCENE_MAGIC, DEPTH_MAGIC = b"MVSI", b"DR"
WITH_BOX, WITH_SCORES = 6, 7
"""Versions of a scene. The first can say its box, the second is the newest that is known."""
MATRIX_BYTES, POINT_BYTES, SCORE_BYTES = 9 * 8, 3 * 8, 6 * 4
BOX_BYTES = 2 * POINT_BYTES
HEADER_BYTES = 65_536 + 4096
"""A depth map's, at most: the photo's name and up to 255 neighbours are in it."""
SAMPLE_STEP = 8
"""Every so many rows and columns of a depth map OpenMVS takes a sample."""
SAMPLE_WEIGHT = 0.01


@dataclass(frozen=True, kw_only=True)
class SubScene:
    """A part of a scene."""

    image_ids: npt.NDArray[np.uint32]
    """For each of its photos, in its order, which photo of the whole scene that is."""
    box: npt.NDArray[np.float64]
    """Its least and its greatest corner (2x3), along the scene's axes; boxes may overlap."""


def read_sub_scene(path: Path) -> SubScene:
    """A part that OpenMVS has split off. Raises StageError for a file that is cut off, or none."""
    try:
        data = path.read_bytes()
        ids = _image_ids(_Cursor(data))
        if len(data) < BOX_BYTES:
            raise ValueError("the file is truncated")
    except (OSError, ValueError) as error:
        raise StageError(f"cannot read {path.name}: {error}") from error
    # The box comes last, after its rotation, which is none.
    box = np.frombuffer(data[-BOX_BYTES:], "<f8").reshape(2, 3)
    return SubScene(image_ids=ids, box=box)


def sampling_area(depth_map: Path) -> float:
    """The part of one depth map in what `--sub-scene-area` bounds: the sum over its samples of
    0.01 f / z, in pixels for a unit of length (Scene::Split). It depends on the scene's scale, so
    that no value suits all scenes.

    Raises StageError for a file that is cut off, or none.
    """
    try:
        with depth_map.open("rb") as file:
            header = _Cursor(file.read(HEADER_BYTES))
            if header.take(2) != DEPTH_MAGIC:
                raise ValueError("not a depth map")
            header.take(2 + 2 * 4)  # what is in it; size of the photo
            width, height = header.numbers("II")
            header.take(2 * 4)  # least and largest depth
            header.take(*header.numbers("H"))
            header.take(4 * header.numbers("I")[0])
            (focal_px,) = header.numbers("d")
            header.take(2 * MATRIX_BYTES + POINT_BYTES - 8)
            depth = np.memmap(file, "<f4", "r", header.position, (height, width))
            first = SAMPLE_STEP // 2
            samples = np.array(depth[first::SAMPLE_STEP, first::SAMPLE_STEP])
    except (OSError, ValueError) as error:
        raise StageError(f"cannot read {depth_map.name}: {error}") from error
    return float(SAMPLE_WEIGHT * focal_px * (1.0 / samples[samples > 0]).sum())


class _Cursor:
    """Reads what is there and refuses what is not."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise ValueError("the file is truncated")
        start, self.position = self.position, end
        return self.data[start:end]

    def numbers(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def length(self) -> int:
        """Of a list or a text that follows."""
        return int(self.numbers("Q")[0])

    def skip_text(self) -> None:
        self.take(self.length())


def _image_ids(scene: _Cursor) -> npt.NDArray[np.uint32]:
    if scene.take(4) != SCENE_MAGIC:
        raise ValueError("not an OpenMVS interface file")
    version, _ = scene.numbers("II")
    if not WITH_BOX <= version <= WITH_SCORES:
        raise ValueError(f"unsupported scene version {version}")
    for _ in range(scene.length()):  # platforms
        scene.skip_text()
        for _ in range(scene.length()):  # cameras
            scene.skip_text()
            scene.skip_text()
            scene.take(2 * 4 + 2 * MATRIX_BYTES + POINT_BYTES)
        scene.take(scene.length() * (MATRIX_BYTES + POINT_BYTES))  # poses
    return np.array([_image_id(scene, version) for _ in range(scene.length())], np.uint32)


def _image_id(scene: _Cursor, version: int) -> int:
    scene.skip_text()
    scene.skip_text()
    number = int(scene.numbers("4I")[3])  # after platform, camera and pose
    if version >= WITH_SCORES:
        scene.take(3 * 4)  # depths
        scene.take(scene.length() * SCORE_BYTES)
    return number
