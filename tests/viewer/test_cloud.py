"""The cloud for the page: the same points, fewer; anything else than ours is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insaat_cli.mesh_io.ply import write_cloud
from insaat_cli.mesh_io.point_cloud import Cloud
from insaat_cli.viewer.cloud import thin_cloud

COUNT = 5000


@pytest.fixture
def cloud(tmp_path: Path) -> tuple[Path, Cloud]:
    random = np.random.default_rng(3)
    points = random.uniform([-1, 0, -2], [1, 4, 2], (COUNT, 3)).astype(np.float32)
    points[7] = [900, 0, 0]
    points[8] = [np.nan, 0, 0]
    colors = random.integers(0, 256, (COUNT, 3)).astype(np.uint8)
    made = Cloud(points=points, normals=np.zeros_like(points), colors=colors)
    write_cloud(tmp_path / "cloud.ply", made)
    return tmp_path / "cloud.ply", made


def test_points_come_back_without_the_stray_ones(cloud: tuple[Path, Cloud]) -> None:
    path, made = cloud
    thin = thin_cloud(path, COUNT)
    assert thin is not None
    assert thin.count == COUNT - 2
    steps = np.frombuffer(thin.data, "<u2", 3 * thin.count).reshape(-1, 3)
    colors = np.frombuffer(thin.data, "u1", 3 * thin.count, 6 * thin.count).reshape(-1, 3)
    low, high = np.array(thin.low), np.array(thin.high)
    kept = np.delete(np.arange(COUNT), [7, 8])
    assert np.abs(low + steps / 65535 * (high - low) - made.points[kept]).max() < 1e-4
    assert np.array_equal(colors, made.colors[kept])


def test_never_more_points_than_asked_for(cloud: tuple[Path, Cloud]) -> None:
    thin = thin_cloud(cloud[0], 999)
    assert thin is not None and 700 < thin.count <= 999
    assert len(thin.data) == 9 * thin.count


@pytest.mark.parametrize("content", [b"", b"ply\n", b"ply\nformat ascii 1.0\nelement vertex 1\n"
                                     b"property float x\nend_header\n0\n"])  # fmt: skip
def test_other_files_are_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cloud.ply"
    assert thin_cloud(path, 9) is None
    path.write_bytes(content)
    assert thin_cloud(path, 9) is None


def test_promise_of_more_points_than_there_are_is_not_believed(cloud: tuple[Path, Cloud]) -> None:
    path, _ = cloud
    text = path.read_bytes().replace(b"vertex 5000", b"vertex 5000000000")
    path.write_bytes(text)
    assert thin_cloud(path, 9) is None
