"""What COLMAP's PatchMatch is given, and what becomes of its maps. No graphics card is needed."""

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from insaat_cli.engine.colmap.map_files import write_map
from insaat_cli.engine.stereo import colmap_cuda
from insaat_cli.engine.stereo.colmap_cuda import (
    CudaJob,
    config_text,
    read_depth_map,
    share_written,
    why_no_cuda,
    write_workspace,
)


def test_the_configuration_names_each_photo_and_its_sources() -> None:
    sources = {"0.jpg": ("2.jpg", "1.jpg"), "1.jpg": ("0.jpg",)}
    assert config_text(sources) == "0.jpg\n2.jpg, 1.jpg\n1.jpg\n0.jpg\n"


def test_the_workspace_copies_nothing(tmp_path: Path) -> None:
    for name in ("photos", "model", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "photos" / "0.jpg").write_bytes(b"photo")
    job = CudaJob(
        model=tmp_path / "model",
        images=tmp_path / "photos",
        sources={"0.jpg": ("1.jpg",)},
        max_side=800,
        cache_gb=1.0,
    )
    write_workspace(tmp_path / "work", job)
    assert (tmp_path / "work" / "images" / "0.jpg").read_bytes() == b"photo"
    assert (tmp_path / "work" / "images").is_symlink()
    assert (tmp_path / "work" / "stereo" / "patch-match.cfg").read_text() == "0.jpg\n1.jpg\n"
    assert share_written(tmp_path / "work", 2) == 0
    maps = tmp_path / "work" / "stereo" / "depth_maps"
    (maps / "0.jpg.photometric.bin").touch()
    assert share_written(tmp_path / "work", 2) == 0.25


def test_what_colmap_filtered_out_is_unknown(tmp_path: Path) -> None:
    for name in ("depth_maps", "normal_maps"):
        (tmp_path / "stereo" / name).mkdir(parents=True)
    depth = np.array([[[2.0], [0.0], [np.nan], [3.0]]], np.float32)
    normals = np.zeros((1, 4, 3), np.float32)
    normals[0, 0] = (0.6, 0, -0.8)
    write_map(tmp_path / "stereo" / "depth_maps" / "0.jpg.geometric.bin", depth)
    write_map(tmp_path / "stereo" / "normal_maps" / "0.jpg.geometric.bin", normals)
    made = read_depth_map(tmp_path, "0.jpg")
    assert made is not None
    assert made.depth.tolist() == [[2, 0, 0, 0]]  # the last one has no normal
    assert made.confidence[0, 0] > 0
    assert not made.confidence[0, 1:].any()
    assert made.normals[0, 0].tolist() == [76, 0, -102]
    assert read_depth_map(tmp_path, "1.jpg") is None


@pytest.mark.parametrize(
    ("built", "devices", "missing"),
    [(False, 1, "without CUDA"), (True, 0, "no CUDA device"), (True, 2, "")],
)
def test_cuda_needs_a_build_and_a_device(
    monkeypatch: pytest.MonkeyPatch, built: bool, devices: int, missing: str
) -> None:
    monkeypatch.setattr(pycolmap, "has_cuda", built)
    monkeypatch.setattr(colmap_cuda, "cuda_devices", lambda: devices)
    why = why_no_cuda()
    assert (missing in why) if missing else why == ""


def test_without_a_driver_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colmap_cuda, "DRIVER", "libno-such-driver.so.1")
    assert colmap_cuda.cuda_devices() == 0


def test_machines_without_pycolmap_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colmap_cuda, "find_spec", lambda name: None)
    assert "not installed" in why_no_cuda()
