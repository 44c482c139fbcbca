"""Stages that hang, and those that only look like it."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.fakes.pipelines import fake_pipeline, fake_plan, fake_stage, three_stages
from tests.fakes.runs import WHOLE, fail, record, run

from insaat_cli.errors import ExitCode, TimedOutError
from insaat_cli.planning.deadlines import Deadlines, StageLimits
from insaat_cli.planning.scheduler import TaskKey
from insaat_cli.runner.deadline_watch import DeadlineWatch

KEY = TaskKey(run=0, stage="one")


def hung(tmp_path: Path, deadlines: Deadlines, **params: Any) -> TimedOutError:
    plan = fake_plan(three_stages(two={"sleep": 60.0, **params}), tmp_path)
    started = time.monotonic()
    error, _ = fail(dataclasses.replace(plan, deadlines=deadlines))
    assert time.monotonic() - started < 30
    assert isinstance(error, TimedOutError)
    assert error.code is ExitCode.STAGE
    return error


def test_a_silent_stage_is_a_failure_of_its_own_with_its_log(tmp_path: Path) -> None:
    error = hung(tmp_path, Deadlines(silence_s=2.0), grandchild=True)
    assert "doing two: timed out: no progress for" in error.message
    assert error.log is not None and error.stage == "two"
    assert 'File "' in error.log.read_text() and "in main" in error.log.read_text(), "where it hung"
    grandchild = int((tmp_path / "grandchild.pid").read_text())
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == "zombie"
    stages = {stage["name"]: stage["status"] for stage in record(tmp_path)["stages"]}
    assert (stages["one"], stages["two"]) == ("done", "failed")


def test_a_stage_that_takes_far_too_long_is_one_too(tmp_path: Path) -> None:
    error = hung(tmp_path, Deadlines(stage_s=2.0))
    assert "doing two: timed out: not done after" in error.message


def test_a_run_in_time_is_not_touched(tmp_path: Path) -> None:
    plan = fake_plan(three_stages(two={"sleep": 1.5}), tmp_path)
    done, _ = run(dataclasses.replace(plan, deadlines=Deadlines(silence_s=60.0, stage_s=60.0)))
    assert (done.stages[-1].folder / "out.txt").read_text() == WHOLE


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeAttempt:
    """What the watch looks at."""

    def __init__(self, log: Path, limits: StageLimits) -> None:
        self.spec = dataclasses.make_dataclass("Spec", ["stage", "limits"])(
            fake_pipeline(fake_stage("one")).stages[0], limits
        )
        self.log, self.paused, self.events_heard = log, False, 0


@pytest.fixture
def attempt(tmp_path: Path) -> FakeAttempt:
    (tmp_path / "log").touch()
    return FakeAttempt(tmp_path / "log", StageLimits(silence_s=100.0, stage_s=1000.0))


def watched(attempt: FakeAttempt, seconds: int, each: Any = lambda second: None) -> list[str]:
    """What is said within so many seconds, looked at once a second."""
    clock = Clock()
    watch, said = DeadlineWatch(clock), []
    for second in range(seconds):
        clock.now += 1.0
        each(second)
        said += [error.message for error in watch.overdue({KEY: attempt}).values()]  # type: ignore[dict-item]
    return said


def test_events_and_lines_are_signs_of_life(attempt: FakeAttempt) -> None:
    def speak(second: int) -> None:
        if second % 160 == 0:
            attempt.events_heard += 1
        if second % 160 == 80:
            attempt.log.write_text("x" * (second + 1))

    assert watched(attempt, 900, speak) == []
    assert "no progress" in watched(attempt, 110)[0]


def test_a_pause_is_no_silence(attempt: FakeAttempt) -> None:
    attempt.paused = True
    assert watched(attempt, 5000) == []


def test_time_in_which_we_stood_still_ourselves_does_not_count(attempt: FakeAttempt) -> None:
    clock = Clock()
    watch = DeadlineWatch(clock)
    attempts: Any = {KEY: attempt}
    for clock.now in (1.0, 40.0, 80_000.0, 90_000.0):
        assert watch.overdue(attempts) == {}
