"""What every stage owes the runner: to tell how far it is, and to end within 2 s of SIGTERM.

One undisturbed run of the embedded pipeline gives each stage its input; then each is started again
as the runner starts it, and stopped while it works: once, and as a long test many times, at any
moment from its start to its end.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from insaat_cli.pipeline.stage_contract import RESULT_NAME, StageRequest
from insaat_cli.runner.process import ChildProcess, ChildSpec

from .harness import Undisturbed

STAGES = ["resize", "features", "matching", "sparse", "undistort", "dense", "complete", "fuse",
          "surface", "texture", "inspection", "export"]  # fmt: skip
STOPPED_WITHIN_S = 2.0
AT_WORK_WITHIN_S = 60.0
STOPPED_TIMES = 100
MAX_STARTS = 3 * STOPPED_TIMES
"""So often may it end by itself, before it is to be stopped."""
LONG_S = 1.0
"""A stage that takes longer must report while it works."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """An undisturbed run, and what its stages said of their progress."""

    workspace: Path
    shares: dict[str, list[float]]
    seconds: dict[str, float]


@pytest.fixture(scope="module")
def told(undisturbed: Undisturbed) -> Told:
    shares, seconds = defaultdict(list), {}
    for event in undisturbed.events:
        if event["event"] == "stage_progress":
            shares[event["stage"]].append(event["share"])
        if event["event"] == "stage_finished":
            seconds[event["stage"]] = event["seconds"]
    return Told(workspace=undisturbed.workspace, shares=shares, seconds=seconds)


def test_every_stage_tells_how_far_it_is(told: Told) -> None:
    assert sorted(told.seconds) == sorted(STAGES)
    for stage, seconds in told.seconds.items():
        shares = told.shares[stage]
        assert shares == sorted(shares), stage
        assert all(0 <= share <= 1 for share in shares), stage
        between = {share for share in shares if 0 < share < 1}
        assert seconds < LONG_S or len(between) >= 2, f"{stage} took {seconds} s: {shares}"


def start_again(told: Told, stage: str, folder: Path) -> tuple[ChildProcess, Path]:
    """The stage as the runner starts it, into an output folder of its own."""
    old = StageRequest.read(told.workspace / "logs" / f"{stage}.request.json")
    output = folder / f"{stage}.tmp"
    output.mkdir()
    request = replace(old, output=output)
    request.write(folder / "request.json")
    module = f"insaat_cli.stages.{stage}"
    arguments = (sys.executable, "-P", "-m", module, str(folder / "request.json"))
    spec = ChildSpec(
        arguments=arguments, folder=output, log=folder / "log.txt", threads=request.threads
    )
    return ChildProcess(spec), output


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_ends_soon_when_asked(told: Told, stage: str, tmp_path: Path) -> None:
    child, output = start_again(told, stage, tmp_path)
    try:
        deadline = time.monotonic() + AT_WORK_WITHIN_S
        while not child.events() and child.exit_code() is None:  # it said how far it is
            assert time.monotonic() < deadline, "it does not say how far it is"
            time.sleep(0.002)
        assert child.exit_code() is None, "it ended before it could be stopped"
        asked = time.monotonic()
        child.terminate()
        while child.exit_code() is None and time.monotonic() < asked + 5 * STOPPED_WITHIN_S:
            time.sleep(0.002)
        took = time.monotonic() - asked
        assert child.exit_code() == 128 + 15
        assert took < STOPPED_WITHIN_S
    finally:
        child.close()
    assert not (output / RESULT_NAME).exists()
    shutil.rmtree(output)


def work_until(child: ChildProcess, deadline: float) -> bool:
    """Let it work and listen to it as the runner does; whether it still runs then."""
    while (runs := child.exit_code() is None) and time.monotonic() < deadline:
        child.events()
        time.sleep(0.001)
    return runs


def left_of(group: int) -> list[int]:
    """Processes of a group that still are there, zombies aside."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def stopped_after(child: ChildProcess, delay_s: float) -> float | None:
    """How long it took to be gone when asked after `delay_s`; None where it had ended before."""
    try:
        if not work_until(child, child.started + delay_s):
            return None
        asked = time.monotonic()
        child.terminate()
        work_until(child, asked + 5 * STOPPED_WITHIN_S)
        while child.exit_code() is not None and left_of(child.pid):
            assert time.monotonic() < asked + 5 * STOPPED_WITHIN_S, "its group lives on"
        took = time.monotonic() - asked
        if child.exit_code() == 0:  # its work was done when the signal came
            return None
        assert child.exit_code() == 128 + 15
        return took
    finally:
        child.close()


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_ends_soon_whenever_it_is_asked(told: Told, stage: str, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    moments = random.Random(seed)
    child, output = start_again(told, stage, tmp_path)
    started = time.monotonic()
    assert not work_until(child, started + AT_WORK_WITHIN_S)
    whole_s = time.monotonic() - started
    child.close()
    took: list[float] = []
    for number in range(MAX_STARTS):
        shutil.rmtree(output)
        delay_s = moments.uniform(0.0, whole_s)
        child, output = start_again(told, stage, tmp_path)
        seconds = stopped_after(child, delay_s)
        where = f"start {number} after {delay_s:.3f} s, seed {seed}, log:\n" + (
            tmp_path / "log.txt"
        ).read_text(errors="replace")
        if seconds is not None:
            took.append(seconds)
            assert seconds < STOPPED_WITHIN_S, where
        if len(took) == STOPPED_TIMES:
            break
    print(f"{stage}: {len(took)} times in {whole_s:.2f} s, slowest {max(took):.3f} s, seed {seed}")
    assert len(took) == STOPPED_TIMES
