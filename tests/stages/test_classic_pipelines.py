"""The OpenMVG and OpenMVS pipelines from photos to results, with stand-ins for the programs."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import trimesh
from PIL import Image
from tests.fakes.mvs_programs import FakePrograms, mvs_programs
from tests.fakes.pipelines import Heard

from insaat_cli.errors import DoNotFitError, ExitCode, InsaatError, StageError
from insaat_cli.reconstruction.options import ReconstructionOptions
from insaat_cli.reconstruction.reconstruct import reconstruct
from insaat_cli.runner.events import StageDegraded, StageSkipped

__all__ = ["mvs_programs"]
PHOTOS = 5
MVG, DENSIFY = "openmvg-openmvs", "DensifyPointCloud"
WAIT_S = 60.0


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise: nothing that real structure from motion could use."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(5)
    for index in range(PHOTOS):
        pixels = generator.integers(0, 256, (250, 340, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"photo{index}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def prepared(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which all went well up to `scene`."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as monkeypatch:
        FakePrograms(folder, monkeypatch)
        run(photos, folder / "out", until_stage="scene")
    return folder / "out"


@pytest.fixture
def workspace(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(prepared, tmp_path / "out"))


def run(photos: Path, output: Path, **fields: Any) -> tuple[dict[str, Any], Heard]:
    """run.json's stages by name, and what was said; a fault is raised."""
    heard = Heard()
    options = ReconstructionOptions(
        sources=(photos,),
        output=output,
        **{"pipeline": MVG, "preset": "draft", "threads": 2, **fields},
    )
    reconstruct(options, heard)
    return stages(output), heard


def stages(output: Path) -> dict[str, Any]:
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    return {stage["name"]: stage for stage in record["stages"]}


def fail(photos: Path, output: Path, **fields: Any) -> InsaatError:
    with pytest.raises(InsaatError) as caught:
        run(photos, output, **fields)
    return caught.value


def test_from_photos_to_results_with_a_crash_on_the_way_and_again(
    photos: Path, mvs_programs: FakePrograms, tmp_path: Path
) -> None:
    mvs_programs.misbehave({"DensifyPointCloud": [{"signal": int(signal.SIGSEGV)}]})
    done, heard = run(photos, tmp_path / "out", formats=("glb", "obj"))
    assert done["resize"]["params"]["multiple_of"] == 32
    assert (done["sparse"]["metrics"]["registered"], done["dense"]["attempts"]) == (PHOTOS, 2)
    [degraded] = heard.of(StageDegraded)
    assert degraded.stage == "dense"
    assert "segmentation fault" in degraded.reason
    assert degraded.changes == {"max_resolution": 600}
    calls = mvs_programs.calls("DensifyPointCloud")
    assert calls[0][calls[0].index("--max-resolution") + 1] == "800"
    assert calls[1][calls[1].index("--max-resolution") + 1] == "600"
    assert any("focal length unknown" in text for text in done["listing"]["warnings"])

    for name in ("model.glb", "model.obj", "cloud.ply", "cameras.json", "preview.png"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    assert len(trimesh.load(tmp_path / "out" / "model.glb", process=False).to_geometry().faces)
    cameras = json.loads((tmp_path / "out" / "cameras.json").read_text(encoding="utf-8"))
    assert [image["name"] for image in cameras["images"]] == [
        f"photo{i}.jpg" for i in range(PHOTOS)
    ]
    heights = [image["center"][1] for image in cameras["images"]]
    assert min(heights) > 0, "the ring of cameras stands above the ground, Y up"
    assert np.ptp(heights) < 1e-3 * np.ptp([image["center"][0] for image in cameras["images"]])
    kept = {path.name for path in (tmp_path / "out" / "stages" / "dense").iterdir()}
    assert kept == {"scene_dense.mvs", "scene_dense.ply", "cloud.ply", "result.json", "stage.json"}

    _, heard = run(photos, tmp_path / "out", formats=("glb", "obj"))
    assert len(heard.stages(StageSkipped)) == len(done), "all of it is taken over"


def test_too_few_placed_photos_are_tried_with_more_features(
    photos: Path, mvs_programs: FakePrograms, tmp_path: Path
) -> None:
    mvs_programs.misbehave({"SfM": [{"registered": 2}]})
    done, heard = run(
        photos, tmp_path / "out", until_stage="sparse", settings=("matching.ratio=0.7",)
    )
    assert done["sparse"]["metrics"]["registered"] == PHOTOS
    [degraded] = heard.of(StageDegraded)
    assert f"OpenMVG registered only 2 of {PHOTOS} photos" in degraded.reason
    presets = [c[c.index("-p") + 1] for c in mvs_programs.calls("ComputeFeatures")]
    assert presets == ["NORMAL", "HIGH"]
    ratios = [c[c.index("-r") + 1] for c in mvs_programs.calls("ComputeMatches")]
    assert ratios == ["0.7", "0.7"], "matched as the user asked for"


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ({"registered": 2}, f"registered only 2 of {PHOTOS}"),
        ({"noise_px": 8.0}, "mean reprojection error"),
        ({"points": 20}, "of the verified matches"),
        ({"exit": 1}, "registered no photos"),
    ],
)
def test_cameras_that_cannot_be_right_end_the_run_before_any_mesh(
    photos: Path,
    mvs_programs: FakePrograms,
    workspace: Path,
    step: dict[str, Any],
    reason: str,
) -> None:
    mvs_programs.misbehave({"SfM": [step] * 3})
    error = fail(photos, workspace, from_stage="sparse")
    assert type(error) is DoNotFitError
    assert error.code == ExitCode.DO_NOT_FIT
    assert error.hint
    tried = stages(workspace)["sparse"]["degraded"]
    assert reason in tried[0]
    assert "engine = OWN" in tried[1], "our own structure from motion had its turn"
    assert len(mvs_programs.calls("SfM")) == 2
    assert mvs_programs.calls("DensifyPointCloud") == []


@pytest.mark.parametrize(
    ("program", "step", "words"),
    [
        ("DensifyPointCloud", {"cloud": 10}, "points: 10, at least 1000 needed"),
        ("DensifyPointCloud", {"nothing": True}, "wrote no cloud"),
        ("ReconstructMesh", {"side": 2}, "faces: 2, at least 100 needed"),
        ("TextureMesh", {"unseen": True}, "textured share: 0"),
    ],
)
def test_success_with_a_useless_result_is_a_failure(
    photos: Path,
    mvs_programs: FakePrograms,
    workspace: Path,
    program: str,
    step: dict[str, Any],
    words: str,
) -> None:
    mvs_programs.misbehave({program: [step] * 9})
    error = fail(photos, workspace)
    assert type(error) is StageError
    assert words in error.message
    attempts = len(mvs_programs.calls(program))
    assert attempts == 1 + len(stages(workspace)[error.stage]["degraded"])
    assert attempts >= 3, "every other setting had its turn"


def test_depth_maps_are_fused_by_sub_scenes(
    photos: Path, mvs_programs: FakePrograms, workspace: Path
) -> None:
    done, _ = run(photos, workspace, until_stage="dense", settings=("dense.sub_scenes=2",))
    assert done["dense"]["metrics"]["sub_scenes"] == 2
    assert done["dense"]["metrics"]["points"] == 2 * 2000
    calls = [dict(zip(c[::2], c[1::2], strict=True)) for c in mvs_programs.calls(DENSIFY)]
    assert [c["-i"] for c in calls] == ["scene.mvs"] * 2 + ["scene_0000.mvs", "scene_0001.mvs"]
    assert [c["--fusion-mode"] for c in calls] == ["1", "0", "0", "0"]
    assert [float(c["--sub-scene-area"]) > 0 for c in calls] == [False, True, False, False]
    assert [c["--geometric-iters"] for c in calls] == ["1", "1", "0", "0"]
    assert [c["--postprocess-dmaps"] for c in calls] == ["7", "7", "0", "0"]
    kept = {path.name for path in (workspace / "stages" / "dense").iterdir()}
    assert kept == {"scene_dense.mvs", "scene_dense.ply", "cloud.ply", "result.json", "stage.json"}


@pytest.mark.parametrize("parts", [0, 1])
def test_a_scene_that_cannot_be_split_is_fused_as_a_whole(
    photos: Path, mvs_programs: FakePrograms, workspace: Path, parts: int
) -> None:
    mvs_programs.misbehave({DENSIFY: [{}, *[{"parts": parts}] * 9]})
    done, _ = run(photos, workspace, until_stage="dense", settings=("dense.sub_scenes=2",))
    assert (done["dense"]["metrics"]["sub_scenes"], done["dense"]["metrics"]["points"]) == (1, 2000)
    areas = [float(c[c.index("--sub-scene-area") + 1]) for c in mvs_programs.calls(DENSIFY)]
    assert areas[0] == areas[-1] == 0
    assert [larger / smaller for larger, smaller in pairwise(areas[1:-1])] == [2.0] * 4


def test_the_area_of_a_sub_scene_is_taken_as_it_is(
    photos: Path, mvs_programs: FakePrograms, workspace: Path
) -> None:
    done, _ = run(photos, workspace, until_stage="dense", settings=("dense.sub_scene_area=66",))
    areas = [c[c.index("--sub-scene-area") + 1] for c in mvs_programs.calls(DENSIFY)]
    assert areas == ["0", "66", "0", "0"]
    assert done["dense"]["metrics"]["sub_scenes"] == 2


def test_disparity_maps_are_fused_as_a_whole(
    photos: Path, mvs_programs: FakePrograms, workspace: Path
) -> None:
    settings = ("dense.sub_scenes=2", "dense.fusion_mode=-2")
    done, _ = run(photos, workspace, until_stage="dense", settings=settings)
    assert len(mvs_programs.calls(DENSIFY)) == done["dense"]["metrics"]["sub_scenes"] == 1
    assert any("fused as a whole" in text for text in done["dense"]["warnings"])


def test_a_killed_program_is_started_once_more_as_it_was(
    photos: Path, mvs_programs: FakePrograms, tmp_path: Path
) -> None:
    mvs_programs.misbehave({"ComputeFeatures": [{"signal": int(signal.SIGKILL)}]})
    done, _ = run(photos, tmp_path / "out", until_stage="features")
    assert (done["features"]["attempts"], done["features"]["degraded"]) == (2, [])


def test_a_program_for_another_processor_is_not_tried_again(
    photos: Path, mvs_programs: FakePrograms, tmp_path: Path
) -> None:
    mvs_programs.misbehave({"ComputeFeatures": [{"signal": int(signal.SIGILL)}] * 5})
    error = fail(photos, tmp_path / "out", until_stage="features")
    assert error.code == ExitCode.MISSING
    assert "built for a different processor" in error.message
    assert len(mvs_programs.calls("ComputeFeatures")) == 1


def test_a_killed_run_takes_its_program_along_and_goes_on_later(
    photos: Path, mvs_programs: FakePrograms, tmp_path: Path
) -> None:
    mvs_programs.misbehave({"ComputeMatches": [{"sleep": 300}]})
    output = tmp_path / "out"
    command = [sys.executable, "-m", "insaat_cli", "reconstruct", str(photos), "-o", str(output),
               "--pipeline", MVG, "--until", "matching"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        # Not before it is at work: every program is also asked for its version at the start.
        wait_until(lambda: bool(mvs_programs.calls("ComputeMatches")))
        matcher = running_program(process.pid, "openMVG_main_ComputeMatches")
        process.kill()
    _, alive = psutil.wait_procs([matcher], timeout=WAIT_S)
    assert not alive, "the program outlived the run"
    mvs_programs.misbehave({})
    done, heard = run(photos, output, until_stage="matching", preset="normal")
    assert done["matching"]["metrics"]["verified_pairs"] == PHOTOS * (PHOTOS - 1) // 2
    assert heard.stages(StageSkipped) == ["resize", "listing", "features"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running_program(parent: int, name: str) -> psutil.Process:
    """The process below `parent` that runs the stand-in `name`."""
    for child in psutil.Process(parent).children(recursive=True):
        with suppress(psutil.Error):
            if any(Path(word).name == name for word in child.cmdline()):
                return child
    pytest.fail(f"{name} does not run")
