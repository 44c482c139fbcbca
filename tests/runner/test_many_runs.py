"""Several runs under one budget: shared, watched, and each with its own end. Real processes."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.fakes.pipelines import (
    FakePhoto,
    Heard,
    fake_pipeline,
    fake_plan,
    fake_stage,
    three_stages,
)

from insaat_cli.errors import ExitCode, MemoryLimitError, StageError, StoppedError, UsageError
from insaat_cli.machine.available_memory import AvailableMemory, Pressure
from insaat_cli.pipeline.definition import Pipeline
from insaat_cli.planning.history import History, Measurement
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.runner.events import (
    Listener,
    MemorySample,
    StageDegraded,
    StageFinished,
    StageStarted,
    StageWarning,
)
from insaat_cli.runner.loop import Job, Outcome, run_pipelines
from insaat_cli.runner.run_result import RunResult
from insaat_cli.runner.stop_request import StopRequest

MB = 1_000_000
SLOW = {"sleep": 0.5}


class Forgetful(History):
    def read(self) -> dict[str, list[Measurement]]:
        return {}


class Calm(AvailableMemory):
    """A machine with nobody else on it."""

    def __init__(self, available_bytes: int = 1 << 40, pressure: Pressure = Pressure.NONE) -> None:
        super().__init__()
        self.available_bytes, self.pressure = available_bytes, pressure

    def look(self) -> bool:
        return True

    def forget(self) -> None:
        pass


def one_stage(**entry: Any) -> Pipeline:
    return fake_pipeline(fake_stage("one", **entry))


def run_all(
    *plans: RunPlan, stop: StopRequest | None = None, around: AvailableMemory | None = None
) -> tuple[tuple[Outcome, ...], list[Heard], list[MemorySample]]:
    heard = [Heard() for _ in plans]
    totals: list[Any] = []
    jobs = [Job(plan=plan, listener=each) for plan, each in zip(plans, heard, strict=True)]
    outcomes = run_pipelines(
        jobs,
        totals=totals.append,
        stop=stop,
        history=Forgetful(),
        available_memory=around or Calm(),
    )
    return outcomes, heard, totals


def test_runs_share_the_cores_and_end_one_by_one(tmp_path: Path) -> None:
    plans = [fake_plan(three_stages(two=SLOW), tmp_path / str(n)) for n in range(4)]
    ended: list[int] = []
    jobs = [
        Job(plan=plan, listener=Heard(), ended=lambda outcome, n=n: ended.append(n))
        for n, plan in enumerate(plans)
    ]
    outcomes = run_pipelines(jobs, history=Forgetful(), available_memory=Calm())
    assert all(isinstance(outcome, RunResult) for outcome in outcomes)
    assert sorted(ended) == [0, 1, 2, 3]
    assert set(ended[:2]) == {0, 1}
    for n in range(4):
        assert (tmp_path / str(n) / "out.txt").read_text() == "one(1)\ntwo(1)\nthree(1)\n"


def test_two_stages_with_a_thread_each_run_side_by_side(tmp_path: Path) -> None:
    plans = [fake_plan(one_stage(params=SLOW), tmp_path / str(n)) for n in range(2)]
    outcomes, heard, totals = run_all(*plans)
    assert [h.of(StageStarted)[0].threads for h in heard] == [1, 1]
    assert all(isinstance(outcome, RunResult) for outcome in outcomes)
    assert max(sample.used_bytes for sample in totals) > 0
    _, (only,), _ = run_all(fake_plan(one_stage(), tmp_path / "alone"))
    assert only.of(StageStarted)[0].threads == 2


def one_after_the_other(tmp_path: Path, budget_bytes: int) -> list[Heard]:
    """Two sets of other photos, whose stage takes more than three times what its model says."""
    pipeline = one_stage(params={"ballast_mb": 150, "sleep": 0.5})
    heard = [Heard(), Heard()]
    jobs = [
        Job(
            plan=fake_plan(
                pipeline,
                tmp_path / str(n),
                photos=(FakePhoto(f"{n}.jpg"),) * 4,
                memory_budget_bytes=budget_bytes,
                threads=1,
            ),
            listener=heard[n],
        )
        for n in range(2)
    ]
    history = History(tmp_path / "history.json")
    outcomes = run_pipelines(jobs, history=history, available_memory=Calm())
    assert all(isinstance(outcome, RunResult) for outcome in outcomes)
    return heard


def test_a_set_learns_from_those_before_it_while_all_run(tmp_path: Path) -> None:
    first, second = one_after_the_other(tmp_path, 1000 * MB)
    assert first.of(StageStarted)[0].predicted_bytes == 50 * MB
    assert second.of(StageStarted)[0].predicted_bytes > 150 * MB


def test_what_is_learned_on_the_way_refuses_nothing(tmp_path: Path) -> None:
    _, second = one_after_the_other(tmp_path, 120 * MB)
    assert second.of(StageStarted)[0].predicted_bytes == 50 * MB


def test_one_failure_stops_no_other(tmp_path: Path) -> None:
    plans = [
        fake_plan(one_stage(params=SLOW), tmp_path / "good"),
        fake_plan(one_stage(params={"fault": "stage"}), tmp_path / "bad"),
        fake_plan(one_stage(memory={"base_mb": 5000}), tmp_path / "large"),
        fake_plan(one_stage(params=SLOW), tmp_path / "good"),
        fake_plan(one_stage(command=["no-such-program"]), tmp_path / "missing"),
        fake_plan(one_stage(), tmp_path / "also good"),
    ]
    outcomes, heard, _ = run_all(*plans)
    good, bad, large, same, missing, also = outcomes
    assert isinstance(good, RunResult)
    assert isinstance(also, RunResult)
    assert isinstance(bad, StageError)
    assert isinstance(large, MemoryLimitError)
    assert isinstance(same, UsageError)
    assert "another run" in same.message
    assert heard[2].of(StageStarted) == []
    assert isinstance(missing, Exception)
    assert json.loads((tmp_path / "bad" / "run.json").read_text())["error"]["code"] == 5


def test_a_run_that_was_finished_before_is_taken_over(tmp_path: Path) -> None:
    plan = fake_plan(three_stages(), tmp_path / "a")
    run_all(plan)
    (first, second), heard, _ = run_all(plan, fake_plan(three_stages(), tmp_path / "b"))
    assert isinstance(first, RunResult)
    assert isinstance(second, RunResult)
    assert heard[0].of(StageStarted) == []


@pytest.mark.parametrize("ballast_mb", [240, 500])
def test_a_stage_that_lies_is_contained(tmp_path: Path, ballast_mb: int) -> None:
    """The others end as if it were not there; it goes on, or is run again, once it is alone."""
    order: list[str] = []

    class Ordered(Heard):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def __call__(self, event: Any) -> None:
            super().__call__(event)
            if isinstance(event, StageFinished):
                order.append(self.name)

    liar = one_stage(params={"ballast_mb": ballast_mb, "sleep": 0.3}, memory={"base_mb": 80})
    good = one_stage(params={"sleep": 2.0, "ballast_mb": 40}, memory={"base_mb": 100})
    heard = [Ordered(name) for name in ("liar", "a", "b")]
    jobs = [
        Job(
            plan=fake_plan(
                liar if each.name == "liar" else good,
                tmp_path / each.name,
                threads=4,
                memory_budget_bytes=420 * MB,
                memory_stretch_bytes=1000 * MB,
            ),
            listener=each,
        )
        for each in heard
    ]
    outcomes = run_pipelines(jobs, history=Forgetful(), available_memory=Calm())
    assert all(isinstance(outcome, RunResult) for outcome in outcomes), outcomes
    assert order[-1] == "liar"
    assert "more than" in heard[0].of(StageWarning)[0].text
    for other in heard[1:]:
        assert len(other.of(StageStarted)) == 1
        assert not [w for w in other.of(StageWarning) if "pause" in w.text]
    for again in heard[0].of(StageDegraded):
        assert "alone" in again.reason


def test_alone_above_the_budget_it_is_tried_with_less(tmp_path: Path) -> None:
    stage = fake_stage(
        "two",
        ["one"],
        params={"ballast_mb": 300, "sleep": 1.0, "max_side": 4000},
        memory={"base_mb": 1, "per_megapixel_mb": 6},
        on_memory=[{"ballast_mb": 20, "max_side": "* 0.3"}],
    )
    plan = fake_plan(
        fake_pipeline(fake_stage("one"), stage), tmp_path, memory_budget_bytes=200 * MB
    )
    (outcome,), (heard,), _ = run_all(plan)
    assert isinstance(outcome, RunResult), outcome
    changes = {name: value for e in heard.of(StageDegraded) for name, value in e.changes.items()}
    assert changes == {"ballast_mb": 20, "max_side": 1200}
    assert outcome.stages[1].degraded


def test_alone_above_the_budget_with_nothing_cheaper_it_ends_all_the_same(tmp_path: Path) -> None:
    stage = one_stage(params={"ballast_mb": 250, "sleep": 0.6}, threads={"max": 1})
    plan = fake_plan(stage, tmp_path, memory_budget_bytes=150 * MB)
    (outcome,), (heard,), _ = run_all(plan)
    assert isinstance(outcome, RunResult)
    assert len(heard.of(StageStarted)) == 1
    assert "more than" in heard.of(StageWarning)[0].text


def test_a_machine_about_to_run_out_stops_the_newest_only(tmp_path: Path) -> None:
    around = Calm(pressure=Pressure.CRITICAL)
    plans = [
        fake_plan(one_stage(params={"sleep": 2.0}, threads={"max": 1}), tmp_path / str(n))
        for n in range(2)
    ]
    calm_again = threading.Timer(1.2, lambda: setattr(around, "pressure", Pressure.NONE))

    class Starting(Heard):
        def __call__(self, event: Any) -> None:
            super().__call__(event)
            if isinstance(event, StageDegraded):
                around.pressure = Pressure.NONE

    calm_again.start()
    heard = [Starting(), Starting()]
    jobs = [Job(plan=plan, listener=each) for plan, each in zip(plans, heard, strict=True)]
    outcomes = run_pipelines(jobs, history=Forgetful(), available_memory=around)
    calm_again.cancel()
    assert all(isinstance(outcome, RunResult) for outcome in outcomes)
    assert len(heard[0].of(StageStarted)) == 1
    assert len(heard[1].of(StageStarted)) == 2
    assert "other programs" in heard[1].of(StageDegraded)[0].reason


def test_it_waits_while_other_programs_leave_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insaat_cli.runner.loop.PATIENCE_S", 0.5)
    around = Calm(available_bytes=30 * MB)
    memory = {"base_mb": 10, "per_thread_mb": 30}
    plan = fake_plan(one_stage(memory=memory), tmp_path)
    (outcome,), (heard,), _ = run_all(plan, around=around)
    assert isinstance(outcome, RunResult)
    assert outcome.seconds > 0.5, "even with one thread it would not fit what others leave"
    assert heard.of(StageStarted)[0].threads == 1
    assert heard.stages(StageFinished) == ["one"]


def test_a_stop_ends_all(tmp_path: Path) -> None:
    stop = StopRequest()
    plans = [fake_plan(one_stage(params={"sleep": 60}), tmp_path / str(n)) for n in range(3)]
    asking = threading.Timer(1.5, stop.ask, [ExitCode.TERMINATED])
    asking.start()
    outcomes, _, _ = run_all(*plans, stop=stop)
    assert [type(outcome) for outcome in outcomes] == [StoppedError] * 3
    assert not [
        process
        for process in psutil.Process().children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE
        and "runner/guard.py" in " ".join(process.cmdline())
    ]
    again = [replace(plan, pipeline=one_stage()) for plan in plans]
    assert all(isinstance(outcome, RunResult) for outcome in run_all(*again)[0])


def test_the_longest_run_goes_first_and_others_in_the_order_of_their_names(tmp_path: Path) -> None:
    began: list[int] = []

    def hear(number: int) -> Listener:
        return lambda event: began.append(number) if isinstance(event, StageStarted) else None

    jobs = [
        Job(
            plan=fake_plan(one_stage(time={"base_s": base_s}), tmp_path / str(number), threads=1),
            listener=hear(number),
        )
        for number, base_s in enumerate((2, 2, 9))
    ]
    run_pipelines(jobs, history=Forgetful(), available_memory=Calm())
    assert began == [2, 0, 1]
