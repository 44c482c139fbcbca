"""Scenes, depth maps and clouds as OpenMVS writes them, byte for byte (its Interface.h)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words)) + words.encode()


Box = tuple[tuple[float, float, float], tuple[float, float, float]]
EVERYWHERE = ((-9.0, -9.0, -9.0), (9.0, 9.0, 9.0))


def write_scene(path: Path, ids: Sequence[int], box: Box = EVERYWHERE, version: int = 7) -> None:
    """A scene of photos that bear the numbers `ids` in the whole one."""
    matrix, center = np.eye(3).tobytes(), np.zeros(3).tobytes()
    data = b"MVSI" + struct.pack("<II", version, 0)
    data += struct.pack("<Q", 1) + text("platform") + struct.pack("<Q", 1) + text("camera")
    data += text("RGB") + struct.pack("<II", 640, 480) + matrix + matrix + center
    data += struct.pack("<Q", len(ids)) + (matrix + center) * len(ids)
    data += struct.pack("<Q", len(ids))
    for pose, number in enumerate(ids):
        data += text(f"images/photo{number}.jpg") + text("")
        data += struct.pack("<4I", 0, 0, pose, number)
        if version > 6:
            data += struct.pack("<3fQ", 1.0, 2.0, 3.0, 1) + struct.pack("<2I4f", 0, 9, 1, 1, 1, 1)
    data += struct.pack("<6Q", 0, 0, 0, 0, 0, 0) + np.eye(4).tobytes()
    path.write_bytes(data + matrix + np.array(box, "<f8").tobytes())


def write_depth_map(path: Path, focal_px: float, depth: np.ndarray) -> None:
    height, width = depth.shape
    name = b"images/photo.jpg"
    data = b"DR" + struct.pack("<BB4I2f", 1, 0, width, height, width, height, 1.0, 9.0)
    data += struct.pack("<H", len(name)) + name + struct.pack("<I3I", 3, 0, 1, 2)
    data += np.diag([focal_px, focal_px, 1.0]).tobytes() + np.eye(3).tobytes()
    data += np.zeros(3).tobytes()
    path.write_bytes(data + depth.astype("<f4").tobytes())


def write_seen_cloud(path: Path, points: np.ndarray, views: Sequence[Sequence[int]]) -> None:
    """Points with colors, normals, and the views that see each."""
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}",
              *(f"property float32 {name}" for name in "xyz"),
              *(f"property uint8 {name}" for name in ("red", "green", "blue")),
              *(f"property float32 {name}" for name in ("nx", "ny", "nz")),
              "property list uint8 uint32 view_indices",
              "property list uint8 float32 view_weights", "end_header", ""]  # fmt: skip
    rows = []
    for point, seen in zip(points, views, strict=True):
        rows.append(struct.pack("<3f3B3f", *point, 200, 100, 50, *point))
        rows.append(struct.pack(f"<B{len(seen)}I", len(seen), *seen))
        rows.append(struct.pack(f"<B{len(seen)}f", len(seen), *([0.5] * len(seen))))
    path.write_bytes("\n".join(header).encode() + b"".join(rows))
