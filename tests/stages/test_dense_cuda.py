"""Stage `dense` with COLMAP's PatchMatch, which a stand-in plays: no graphics card is needed."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
from tests.engine.plane_scene import SLANTED, plane_scene, true_depth

from insaat_cli.engine.colmap.map_files import write_map
from insaat_cli.engine.scene.views import Scene, View
from insaat_cli.engine.stereo.colmap_cuda import CudaJob
from insaat_cli.engine.stereo.depth_map_files import DepthMap, read_index
from insaat_cli.errors import StageError, UsageError
from insaat_cli.mesh_io.ply import read_cloud
from insaat_cli.pipeline.stage_contract import parse_options
from insaat_cli.stages import dense, dense_cuda
from insaat_cli.stages.dense import DenseOptions, Stereo, make_depth_maps
from insaat_cli.stages.fuse import FuseOptions, fuse_depth_maps

MAX_SIDE = 200


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Scene]:
    """Photos of a plane on disk, a scene that `dense` will find, and a CUDA that seems to be."""
    scene, photos = plane_scene(SLANTED)
    views = []
    for index, (view, photo) in enumerate(zip(scene.views, photos, strict=True)):
        name = f"{index:05d}.png"
        cv2.imwrite(str(tmp_path / name), photo)
        fields = {"width": view.width, "height": view.height, "K": view.K}
        views.append(View(name=name, cam_from_world=view.cam_from_world, **fields))
    named = Scene(views=views, points=scene.points, seen=scene.seen)
    monkeypatch.setattr(dense, "load_scene", lambda model: named)
    monkeypatch.setattr(dense, "why_no_cuda", lambda: "")
    return tmp_path, named


class PatchMatch:
    """Writes the true maps of the plane where COLMAP would, one column of each filtered out."""

    def __init__(self, scene: Scene, leave_out: str = "") -> None:
        self.views = {view.name: view for view in scene.views}
        self.leave_out = leave_out

    def __call__(self, folder: Path, job: CudaJob, progress: Callable[[float], None]) -> None:
        lines = (folder / "stereo" / "patch-match.cfg").read_text().splitlines()
        for number, name in enumerate(lines[::2]):
            assert (folder / "images" / name).exists()
            view = self.views[name].fitted(job.max_side)
            depth = true_depth(view, SLANTED)[..., None].astype(np.float32)
            depth[:, 0] = 0
            in_camera = view.R @ SLANTED
            normals = np.broadcast_to(in_camera, (*depth.shape[:2], 3)).astype(np.float32)
            if name != self.leave_out:
                write_map(folder / "stereo" / "depth_maps" / f"{name}.geometric.bin", depth)
                write_map(folder / "stereo" / "normal_maps" / f"{name}.geometric.bin", normals)
            progress((number + 1) / len(lines[::2]))


def test_maps_of_colmap_are_fused_as_ours_are(work, monkeypatch) -> None:
    folder, scene = work
    monkeypatch.setattr(dense_cuda, "run_in_own_process", PatchMatch(scene))
    output, shares = folder / "out" / "depth", []
    metrics = make_depth_maps(
        folder, folder, output, DenseOptions(max_side=MAX_SIDE), progress=shares.append
    )
    assert metrics["stereo"] == "cuda"
    assert metrics["depth_maps"] == 4
    assert metrics["filled"] == pytest.approx(1 - 1 / MAX_SIDE)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [path.name for path in (folder / "out").iterdir()] == ["depth"]  # no workspace is left
    index = read_index(output)
    first = DepthMap.load(output / index[0].file)
    assert first.depth.shape == (index[0].view.height, index[0].view.width) == (150, 200)
    assert all(len(entry.neighbours) == 3 for entry in index)
    fuse_depth_maps(output, folder, folder / "cloud.ply", FuseOptions())
    cloud = read_cloud(folder / "cloud.ply")
    assert len(cloud.points) > 3000
    assert np.percentile(np.abs(cloud.points @ SLANTED), 95) < 0.005
    assert np.median(cloud.normals @ SLANTED) > 0.99


def test_a_photo_that_colmap_skipped_gets_an_empty_map(work, monkeypatch) -> None:
    folder, scene = work
    stand_in = PatchMatch(scene, leave_out="00002.png")
    monkeypatch.setattr(dense_cuda, "run_in_own_process", stand_in)
    output = folder / "out" / "depth"
    metrics = make_depth_maps(folder, folder, output, DenseOptions(max_side=MAX_SIDE))
    assert metrics["depth_maps"] == 4
    assert not DepthMap.load(output / "00002.npz").depth.any()


def fail(folder: Path, job: CudaJob, progress: Callable[[float], None]) -> None:
    raise StageError("the card is on fire")


def test_auto_goes_on_without_a_card_that_fails(work, monkeypatch) -> None:
    folder, _ = work
    monkeypatch.setattr(dense_cuda, "run_in_own_process", fail)
    warnings: list[str] = []
    options = DenseOptions(max_side=80, coarse_sweeps=1, fine_sweeps=1)
    metrics = make_depth_maps(folder, folder, folder / "out", options, warn=warnings.append)
    assert metrics["stereo"] == "own"
    assert metrics["filled"] > 0.2
    assert warnings == ["the card is on fire; continuing on the processor"]


def test_cuda_that_was_asked_for_is_not_replaced(work, monkeypatch) -> None:
    folder, _ = work
    monkeypatch.setattr(dense_cuda, "run_in_own_process", fail)
    with pytest.raises(StageError, match="on fire"):
        make_depth_maps(folder, folder, folder / "out", DenseOptions(stereo=Stereo.CUDA))


@pytest.mark.parametrize(
    ("wanted", "missing", "taken"),
    [("auto", "", "cuda"), ("auto", "no card", "own"), ("own", "", "own"), ("cuda", "", "cuda")],
)
def test_who_measures(monkeypatch, wanted: str, missing: str, taken: str) -> None:
    monkeypatch.setattr(dense, "why_no_cuda", lambda: missing)
    assert dense.chosen_stereo(parse_options(DenseOptions, {"stereo": wanted}).stereo) == taken


def test_cuda_without_cuda_is_said_before_any_work(monkeypatch) -> None:
    monkeypatch.setattr(dense, "why_no_cuda", lambda: "no CUDA device was found")
    with pytest.raises(StageError, match="no CUDA device") as raised:
        dense.chosen_stereo(Stereo.CUDA)
    assert "pycolmap-cuda12" in raised.value.hint
    with pytest.raises(UsageError, match="stereo"):
        parse_options(DenseOptions, {"stereo": "metal"})


def test_what_colmap_is_told(tmp_path: Path, monkeypatch) -> None:
    told = {}

    def patch_match_stereo(workspace: Path, *, options: pycolmap.PatchMatchOptions) -> None:
        told.update(options.todict(), workspace=workspace)

    monkeypatch.setattr(pycolmap, "patch_match_stereo", patch_match_stereo)
    assert dense_cuda.main([str(tmp_path), "800", "1.5"]) == 0
    assert told["workspace"] == tmp_path
    assert told["max_image_size"] == 800
    assert told["cache_size"] == 1.5
    assert told["geom_consistency"]
    assert told["filter"]


def test_a_process_that_dies_is_an_expected_fault(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(dense_cuda, "MODULE", "insaat_cli.no_such_module")
    job = CudaJob(model=tmp_path, images=tmp_path, sources={}, max_side=800, cache_gb=1.0)
    with pytest.raises(StageError, match="graphics card"):
        dense_cuda.run_in_own_process(tmp_path, job, lambda share: None)
