"""Depth maps on disk: one file a view, and an index that says which camera each belongs to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import View

INDEX_NAME = "views.json"
NORMAL_SCALE = 127
Pixels = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class DepthMap:
    """What is known about the surface that one view sees, (height, width) each."""

    depth: npt.NDArray[np.float32]
    """Along the optical axis, in units of the world; 0 where unknown."""
    normals: npt.NDArray[np.int8]
    """(height, width, 3), camera frame, times 127."""
    confidence: npt.NDArray[np.uint8]
    """255 where neighbour photos look exactly alike, 0 where unknown."""

    completed: Pixels | None = None
    """Where depth is that of a plane that its surroundings support, not measured. None: nowhere."""
    sky: Pixels | None = None
    """Where there is nothing but sky: no surface at any depth. None: nowhere."""

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {
            "depth": self.depth,
            "normals": self.normals,
            "confidence": self.confidence,
            "completed": self.completed,
            "sky": self.sky,
        }
        np.savez(path, **{name: one for name, one in arrays.items() if one is not None})

    @classmethod
    def load(cls, path: Path) -> DepthMap:
        with np.load(path) as data:
            return cls(
                depth=data["depth"],
                normals=data["normals"],
                confidence=data["confidence"],
                completed=data.get("completed"),
                sky=data.get("sky"),
            )


@dataclass(frozen=True, kw_only=True)
class DepthView:
    """One entry of the index: a depth map's file, its camera at the map's size, its neighbours."""

    view: View
    file: str
    neighbours: tuple[int, ...]
    """Positions in the index."""
    near: float
    far: float


def write_index(folder: Path, entries: Sequence[DepthView]) -> None:
    views = [
        {
            "name": entry.view.name,
            "file": entry.file,
            "width": entry.view.width,
            "height": entry.view.height,
            "K": entry.view.K.tolist(),
            "cam_from_world": entry.view.cam_from_world.tolist(),
            "neighbours": list(entry.neighbours),
            "near": entry.near,
            "far": entry.far,
        }
        for entry in entries
    ]
    text = json.dumps({"views": views}, indent=1, ensure_ascii=False)
    (folder / INDEX_NAME).write_text(text, encoding="utf-8")


def read_index(folder: Path) -> list[DepthView]:
    raw = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    return [
        DepthView(
            view=View(
                name=item["name"],
                width=item["width"],
                height=item["height"],
                K=np.array(item["K"]),
                cam_from_world=np.array(item["cam_from_world"]),
            ),
            file=item["file"],
            neighbours=tuple(item["neighbours"]),
            near=item["near"],
            far=item["far"],
        )
        for item in raw["views"]
    ]
