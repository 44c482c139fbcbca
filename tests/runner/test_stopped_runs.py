"""Runs of fake stages that something ends: signals, kills, their caller, a full disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.fakes.pipelines import Heard, fake_pipeline, fake_plan, fake_stage, three_stages
from tests.fakes.runs import WHOLE, fail, record, run

from insaat_cli.errors import ExitCode, StageError, StoppedError, UsageError
from insaat_cli.runner.events import StageProgress, StageSkipped, StageStarted
from insaat_cli.runner.loop import run_pipeline
from insaat_cli.runner.stop_request import StopRequest

WAIT_S = 20.0

RUNNER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from tests.fakes.pipelines import Heard, fake_plan, three_stages
from insaat_cli.errors import InsaatError
from insaat_cli.runner.loop import run_pipeline
slow = {{"sleep": {sleep}, "grandchild": True, "ignore_term": {deaf}}}
try:
    run_pipeline(fake_plan(three_stages(two=slow), Path({workspace!r})), Heard())
except InsaatError as error:
    print(error.message, error.hint)
    sys.exit(int(error.code))
"""


def runner(workspace: Path, sleep: float = 60.0, deaf: bool = False) -> subprocess.Popen[str]:
    tests = str(Path(__file__).parents[2])
    code = RUNNER.format(tests=tests, workspace=str(workspace), sleep=sleep, deaf=deaf)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def wait_for(path: Path) -> int:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return int(text)
        time.sleep(0.01)
    raise AssertionError(f"{path} is not written")


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + WAIT_S
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert alive(pids) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_stopped_by_a_signal_then_resumed(tmp_path: Path, number: int, code: int) -> None:
    process = runner(tmp_path)
    pids = [wait_for(tmp_path / "two.pid"), wait_for(tmp_path / "grandchild.pid")]
    began = time.monotonic()
    process.send_signal(number)
    output, _ = process.communicate(timeout=WAIT_S)
    assert time.monotonic() - began < 10
    assert process.returncode == code
    assert_gone(pids)
    if number != signal.SIGKILL:
        assert "run the same command again" in output
        assert [s["status"] for s in record(tmp_path)["stages"]] == ["done", "stopped", "waiting"]
        assert record(tmp_path)["error"]["code"] == code
    _, heard = run(fake_plan(three_stages(two={"grandchild": True}), tmp_path))
    assert heard.stages(StageSkipped) == ["one"]
    assert (tmp_path / "out.txt").read_text() == WHOLE


def test_a_deaf_stage_is_killed_at_once_when_asked_twice(tmp_path: Path) -> None:
    process = runner(tmp_path, deaf=True)
    pids = [wait_for(tmp_path / "two.pid"), wait_for(tmp_path / "grandchild.pid")]
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=WAIT_S)
    assert time.monotonic() - began < 4.5  # the deadline for those that listen is 5 s
    assert process.returncode == 130
    assert_gone(pids)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.25, 0.4, 0.55, 0.7])
def test_kill_9_at_any_point_then_the_same_result(tmp_path: Path, delay: float) -> None:
    process = runner(tmp_path, sleep=0.05)
    deadline = time.monotonic() + WAIT_S
    while not (tmp_path / "run.json").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(delay)
    process.kill()
    process.communicate()
    whole_before = [p.parent.name for p in tmp_path.glob("stages/*/stage.json")
                    if not p.parent.name.endswith((".tmp", ".old"))]  # fmt: skip
    params = {"sleep": 0.05, "grandchild": True, "ignore_term": False}
    _, heard = run(fake_plan(three_stages(two=params), tmp_path))
    assert sorted(heard.stages(StageSkipped)) == sorted(whole_before)
    assert (tmp_path / "out.txt").read_text() == WHOLE


def test_a_caller_can_stop_a_run(tmp_path: Path) -> None:
    stop = StopRequest()

    class Stopping(Heard):
        def __call__(self, event: Any) -> None:
            super().__call__(event)
            if isinstance(event, StageProgress) and event.stage == "two":
                stop.ask(ExitCode.TERMINATED)

    plan = fake_plan(three_stages(two={"sleep": 30}), tmp_path)
    with pytest.raises(StoppedError) as caught:
        run_pipeline(plan, Stopping(), stop=stop)
    assert caught.value.code == 143


def test_a_listener_that_cannot_write_stops_all_and_blames_no_disk(tmp_path: Path) -> None:
    pids: list[int] = []

    def closed(event: Any) -> None:
        if isinstance(event, StageProgress):
            pids.append(wait_for(tmp_path / "one.pid"))
            pids.append(wait_for(tmp_path / "grandchild.pid"))
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    params = {"sleep": 30, "grandchild": True}
    pipeline = fake_pipeline(fake_stage("one", params=params))
    with pytest.raises(BrokenPipeError):
        run_pipeline(fake_plan(pipeline, tmp_path), closed)
    assert len(pids) == 2
    assert_gone(pids)


def test_nor_does_a_stage_outlive_a_listener_that_fails_as_it_starts(tmp_path: Path) -> None:
    pids: list[int] = []

    def closed(event: Any) -> None:
        if isinstance(event, StageStarted):
            pids.append(wait_for(tmp_path / "one.pid"))
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    pipeline = fake_pipeline(fake_stage("one", params={"sleep": 30, "grandchild": True}))
    with pytest.raises(BrokenPipeError):
        run_pipeline(fake_plan(pipeline, tmp_path), closed)
    assert len(pids) == 1
    assert_gone(pids)


def test_two_runs_in_one_workspace(tmp_path: Path) -> None:
    process = runner(tmp_path)
    try:
        wait_for(tmp_path / "two.pid")
        error, _ = fail(fake_plan(three_stages(), tmp_path))
        assert isinstance(error, UsageError)
        assert "another run" in error.message
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)


def test_a_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # root may write anywhere but where the system itself may not
        folder = Path("/proc/insaat")
    error, _ = fail(fake_plan(three_stages(), folder))
    assert error.code in (ExitCode.USAGE, ExitCode.STAGE)
    assert "cannot write" in error.message


@pytest.mark.parametrize("left_bytes", [0, 4096, 20_000, 100_000])
def test_a_full_disk_is_named_and_the_run_resumes(small_disk: Path, left_bytes: int) -> None:
    run(fake_plan(three_stages(), small_disk, until_stage="one"))
    ballast = small_disk / "ballast"
    usage = os.statvfs(small_disk)
    ballast.write_bytes(b"x" * max(0, usage.f_bavail * usage.f_frsize - left_bytes))
    fat = [sys.executable, "-c", "open('out.txt', 'wb').write(b'x' * 200_000)"]
    stages = [fake_stage("one"), fake_stage("two", ["one"], command=fat)]
    plan = fake_plan(fake_pipeline(*stages), small_disk)
    error, _ = fail(plan)
    assert isinstance(error, StageError)
    assert "no space left" in error.message
    ballast.unlink()
    _, heard = run(plan)
    assert heard.stages(StageSkipped) == ["one"]
