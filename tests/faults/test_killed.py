"""`kill -9` at any point, then the same command again: it goes on, and the result is the same."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import trimesh

from insaat_cli.pipeline.loader import find_pipeline

from .harness import (
    LONGEST_S,
    Undisturbed,
    contents,
    insaat_command,
    reconstruct,
    run_record,
    statuses,
    wait_until_gone,
)

STAGES = [stage.name for stage in find_pipeline("embedded").stages]
OFTEN = ["features", "sparse", "dense"]
"""Killed in every test run; the others are long tests."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What must not depend on interruptions."""

    cameras: str
    """Hash of cameras.json."""
    vertices: int
    cloud: str
    """Hash of cloud.ply."""
    shape: str
    """Hash of the places of vertices and corners of faces in model.glb."""


def result_of(workspace: Path) -> Result:
    model = trimesh.load(workspace / "model.glb", force="mesh", process=False)
    hashes = [
        hashlib.sha256((workspace / name).read_bytes()).hexdigest()
        for name in ("cameras.json", "cloud.ply")
    ]
    shape = hashlib.sha256(model.vertices.tobytes() + model.faces.tobytes()).hexdigest()
    return Result(cameras=hashes[0], vertices=len(model.vertices), cloud=hashes[1], shape=shape)


@pytest.fixture
def finished(undisturbed: Undisturbed) -> Path:
    """A workspace of a run that nobody disturbed."""
    return undisturbed.workspace


@pytest.fixture
def workspace(finished: Path, tmp_path: Path) -> Path:
    """A copy of the undisturbed run's workspace."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


@contextmanager
def started(photos: Path, workspace: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run in the background, over when the test is."""
    command = insaat_command("reconstruct", photos, "-o", workspace, "--preset", "draft", "--json")
    with subprocess.Popen([*command, *more], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_stage(process: subprocess.Popen[bytes], stage: str, progress: float = 0.0) -> None:
    """Read events until `stage` runs and has done a share of its work."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("stage") != stage:
            continue
        if event["event"] == "stage_started" and progress == 0.0:
            return
        if event["event"] == "stage_progress" and event["share"] >= progress:
            return
        assert event["event"] != "stage_finished", f"{stage} said nothing of its progress"
    pytest.fail(f"the run ended before {stage} got so far")


def stage_process(process: subprocess.Popen[bytes], stage: str) -> psutil.Process:
    """The process that computes, not the guard that watches it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                words = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if f"insaat_cli.stages.{stage}" in words and not any("guard" in w for w in words):
                return child
        time.sleep(0.02)
    pytest.fail(f"no process of {stage}")


def held_in_the_middle(process: subprocess.Popen[bytes], stage: str) -> psutil.Process:
    """The process of `stage`, which stands still and so cannot be done before it is killed."""
    wait_for_stage(process, stage)
    computing = stage_process(process, stage)
    computing.suspend()
    return computing


def after(stage: str) -> list[str]:
    return STAGES[: STAGES.index(stage)]


def often(stages: list[str]) -> list[object]:
    return [name if name in OFTEN else pytest.param(name, marks=pytest.mark.long)
            for name in stages]  # fmt: skip


@pytest.mark.parametrize("stage", often(STAGES))
def test_insaat_killed(stage: str, finished: Path, workspace: Path, statue_photos: Path) -> None:
    before = contents(statue_photos)
    with started(statue_photos, workspace, "--from", stage) as process:
        held_in_the_middle(process, stage)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert wait_until_gone(workspace) == [], "stages outlived insaat"
    assert not (workspace / "stages" / stage).exists(), "nothing half done is published"
    reconstruct(statue_photos, workspace).expect(0)
    told = statuses(workspace)
    assert [name for name in after(stage) if told[name] != "skipped"] == []
    assert told[stage] == "done"
    assert result_of(workspace) == result_of(finished)
    assert contents(statue_photos) == before
    assert not list((workspace / "stages").glob("*.tmp"))


@pytest.mark.parametrize("stage", often(STAGES))
def test_stage_killed(stage: str, finished: Path, workspace: Path, statue_photos: Path) -> None:
    with started(statue_photos, workspace, "--from", stage) as process:
        held_in_the_middle(process, stage).kill()
        process.communicate(timeout=LONGEST_S)
    record = run_record(workspace)
    (killed,) = [entry for entry in record["stages"] if entry["name"] == stage]
    if process.returncode == 0:
        assert killed["attempts"] > 1, "it was begun again"
    else:
        assert process.returncode in (5, 6)
        assert record["error"]["stage"] == stage
    reconstruct(statue_photos, workspace).expect(0)
    assert result_of(workspace) == result_of(finished)
    assert wait_until_gone(workspace) == []


def test_stage_that_is_killed_every_time_is_an_error_that_names_it(
    workspace: Path, finished: Path, statue_photos: Path
) -> None:
    with started(statue_photos, workspace, "--from", "fuse") as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            for child in psutil.Process(process.pid).children(recursive=True):
                try:
                    words = child.cmdline()
                    if "insaat_cli.stages.fuse" in words and not any("guard" in w for w in words):
                        child.kill()
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.01)
        assert process.wait(10) in (5, 6)
    error = run_record(workspace)["error"]
    assert error["stage"] == "fuse"
    assert error["hint"]
    assert Path(error["log"]).exists()
    reconstruct(statue_photos, workspace).expect(0)
    assert result_of(workspace) == result_of(finished)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_signal(
    number: signal.Signals, code: int, finished: Path, workspace: Path, statue_photos: Path
) -> None:
    with started(statue_photos, workspace, "--from", "dense") as process:
        wait_for_stage(process, "dense")
        time.sleep(0.5)
        asked = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == code
        assert time.monotonic() - asked < 8
    assert wait_until_gone(workspace, 1.0) == []
    reconstruct(statue_photos, workspace).expect(0)
    assert statuses(workspace)["sparse"] == "skipped"
    assert result_of(workspace) == result_of(finished)


def test_finished_run_again_does_nothing(workspace: Path, statue_photos: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (workspace / "stages").rglob("*")}
    reconstruct(statue_photos, workspace).expect(0)
    assert set(statuses(workspace).values()) == {"skipped"}
    after_run = {path: path.stat().st_mtime_ns for path in (workspace / "stages").rglob("*")}
    assert after_run == before


@pytest.mark.long
@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.85])
def test_everything_killed_at_any_moment(
    share: float, finished: Path, statue_photos: Path, tmp_path: Path
) -> None:
    """insaat and all stages at once, as when the machine goes down; from an empty workspace."""
    whole = sum(stage["seconds"] for stage in run_record(finished)["stages"])
    out = tmp_path / "fresh"
    with started(statue_photos, out) as process:
        time.sleep(share * whole)
        for victim in [*psutil.Process(process.pid).children(recursive=True), process]:
            victim.kill()
        assert process.wait() == -signal.SIGKILL, "it was under way"
    done = [name for name in STAGES if (out / "stages" / name).is_dir()]
    assert done != STAGES
    reconstruct(statue_photos, out).expect(0)
    told = statuses(out)
    assert [name for name in STAGES if told[name] == "skipped"] == done
    assert result_of(out) == result_of(finished)
