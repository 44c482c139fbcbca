"""Whole runs of fake stages: resume, faults, ladders, budgets. Real processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.pipelines import FakePhoto, fake_pipeline, fake_plan, fake_stage, three_stages
from tests.fakes.runs import WHOLE, fail, record, run

from insaat_cli.errors import (
    DiskFullError,
    DoNotFitError,
    InsaatError,
    MemoryLimitError,
    MissingError,
    StageError,
    UsageError,
)
from insaat_cli.runner.events import (
    MemorySample,
    RunFailed,
    RunFinished,
    RunPlanned,
    RunProgress,
    StageDegraded,
    StageFailed,
    StageFinished,
    StageProgress,
    StageSkipped,
    StageStarted,
    StageWarning,
)


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    result, heard = run(fake_plan(three_stages(two={"value": 7}), tmp_path))
    assert (tmp_path / "out.txt").read_text() == "one(1)\ntwo(7)\nthree(1)\n"
    assert result.results == (tmp_path / "out.txt",)
    assert heard.stages(StageStarted) == heard.stages(StageFinished) == ["one", "two", "three"]
    assert heard.of(StageFinished)[1].metrics["value"] == 7
    assert heard.of(StageWarning)[0].text == "one says hello"
    assert {p.share for p in heard.of(StageProgress)} == {0.5, 1.0}
    assert 0 < heard.of(MemorySample)[-1].used_bytes <= result.peak_bytes
    assert isinstance(heard.events[-1], RunFinished)
    shares = [progress.share for progress in heard.of(RunProgress)]
    assert shares == sorted(shares)
    written = record(tmp_path)
    assert [stage["status"] for stage in written["stages"]] == ["done"] * 3
    assert all(stage["peak_bytes"] > 5e6 for stage in written["stages"])
    assert written["error"] is None
    assert written["finished"] is not None
    assert written["results"] == ["out.txt"]
    photos = json.loads((tmp_path / "photos.json").read_text())
    assert [photo["name"] for photo in photos["photos"]] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert not list(tmp_path.glob("stages/*.tmp"))


def test_a_second_run_skips_and_a_change_redoes_what_depends_on_it(tmp_path: Path) -> None:
    run(fake_plan(three_stages(), tmp_path))
    _, heard = run(fake_plan(three_stages(), tmp_path))
    assert heard.stages(StageSkipped) == ["one", "two", "three"]
    result, heard = run(fake_plan(three_stages(two={"value": 5}), tmp_path))
    assert heard.stages(StageSkipped) == ["one"]
    assert heard.stages(StageStarted) == ["two", "three"]
    assert [stage.status for stage in result.stages] == ["skipped", "done", "done"]
    assert "two(5)" in (tmp_path / "out.txt").read_text()
    other = fake_plan(three_stages(two={"value": 5}), tmp_path, photos=(FakePhoto("x.jpg"),))
    assert run(other)[1].stages(StageStarted) == ["one", "two", "three"]


def test_from_until_restart_and_dry_run(tmp_path: Path) -> None:
    plan = fake_plan(three_stages(), tmp_path)
    _, heard = run(replace(plan, dry_run=True))
    assert [(p.stage, p.skipped) for p in heard.of(RunPlanned)] == [
        ("one", False),
        ("two", False),
        ("three", False),
    ]
    assert not list(tmp_path.iterdir())
    result, heard = run(replace(plan, until_stage="two"))
    assert heard.stages(StageStarted) == ["one", "two"]
    assert result.results == ()
    _, heard = run(replace(plan, dry_run=True))
    assert [p.skipped for p in heard.of(RunPlanned)] == [True, True, False]
    run(plan)
    assert run(replace(plan, from_stage="two"))[1].stages(StageStarted) == ["two", "three"]
    assert run(replace(plan, restart=True))[1].stages(StageStarted) == ["one", "two", "three"]
    assert isinstance(fail(replace(plan, from_stage="tow"))[0], UsageError)
    assert isinstance(fail(replace(plan, from_stage="three", until_stage="one"))[0], UsageError)


@pytest.mark.parametrize(
    ("fault", "kind", "says", "hint"),
    [
        ("exit", StageError, "exit status 3", "log"),
        ("stage", StageError, "the depth maps are empty", "try again"),
        ("do_not_fit", DoNotFitError, "only 2 photos", "overlap more"),
        ("memory", MemoryLimitError, "ran out of memory", "--max-memory"),
        ("bad_alloc", MemoryLimitError, "out of memory", "--max-memory"),
        ("nothing", StageError, "did not write out.txt", ""),
        ("disk_full", DiskFullError, "no space left", "free some space"),
        ("SIGSEGV", StageError, "segmentation fault", "about to die"),
        ("SIGABRT", StageError, "aborted", "about to die"),
        ("SIGILL", StageError, "a different processor", "about to die"),
        ("SIGKILL", MemoryLimitError, "out of memory", "--max-memory"),
    ],
)
def test_a_fault_becomes_its_error(
    tmp_path: Path, fault: str, kind: type[InsaatError], says: str, hint: str
) -> None:
    error, heard = fail(fake_plan(three_stages(two={"fault": fault}), tmp_path))
    assert type(error) is kind
    assert says in error.message
    assert hint in error.hint
    assert (error.stage, error.log) == ("two", tmp_path / "logs" / "two.log")
    assert heard.stages(StageFailed) == ["two"]
    assert heard.of(RunFailed)[0].code == error.code
    written = record(tmp_path)
    assert [stage["status"] for stage in written["stages"]] == ["done", "failed", "waiting"]
    assert written["error"]["code"] == int(error.code)
    assert not (tmp_path / "stages" / "two").exists()
    _, heard = run(fake_plan(three_stages(), tmp_path))
    assert heard.stages(StageSkipped) == ["one"]
    assert (tmp_path / "out.txt").read_text() == WHOLE


def test_a_program_that_is_missing(tmp_path: Path) -> None:
    pipeline = fake_pipeline(fake_stage("one", command=["no-such-program"]))
    error, _ = fail(fake_plan(pipeline, tmp_path))
    assert isinstance(error, MissingError)
    assert "no-such-program" in error.message


def test_a_module_that_is_missing(tmp_path: Path) -> None:
    entry = fake_stage("one", run="insaat_cli.stages.no_such_stage")
    del entry["command"]
    error, _ = fail(fake_plan(fake_pipeline(entry), tmp_path))
    assert isinstance(error, MissingError)
    assert "no_such_stage" in error.message


@pytest.mark.parametrize("fault", ["memory", "bad_alloc"])
def test_out_of_memory_goes_down_the_ladder(tmp_path: Path, fault: str) -> None:
    params = {"value": 100, "fault": fault, "fault_above": 50}
    ladder = [{"threads": 1}, {"value": "* 0.7"}, {"value": "* 0.5"}]
    stages = [
        fake_stage("one", params=params, on_memory=ladder),
        fake_stage("two", ["one"]),
    ]
    result, heard = run(fake_plan(fake_pipeline(*stages), tmp_path))
    assert (tmp_path / "out.txt").read_text() == "one(50)\ntwo(1)\n"
    assert [event.threads for event in heard.of(StageStarted)] == [2, 1, 1, 1, 2]
    changed = [dict(event.changes) for event in heard.of(StageDegraded)]
    assert changed == [{"threads": 1}, {"value": 70}, {"value": 50}]
    assert len(result.stages[0].degraded) == 3
    assert run(fake_plan(fake_pipeline(*stages), tmp_path))[1].stages(StageStarted) == []


def test_without_degrading_out_of_memory_is_final(tmp_path: Path) -> None:
    stage = fake_stage("one", params={"fault": "memory"}, on_memory=[{"value": 0}])
    error, heard = fail(fake_plan(fake_pipeline(stage), tmp_path, degrade=False))
    assert isinstance(error, MemoryLimitError)
    assert len(heard.of(StageStarted)) == 1


@pytest.mark.parametrize("fault", ["SIGSEGV", "exit", "nothing", "do_not_fit"])
def test_a_crash_goes_down_its_own_ladder(tmp_path: Path, fault: str) -> None:
    stage = fake_stage("one", params={"fault": fault}, on_failure=[{"fault": ""}])
    _, heard = run(fake_plan(fake_pipeline(stage), tmp_path))
    assert [event.attempt for event in heard.of(StageStarted)] == [1, 2]
    assert "attempt 2" in (tmp_path / "logs" / "one.log").read_text()


def test_a_lowered_result_is_another_input(tmp_path: Path) -> None:
    """What is made again in full must not stand beside what was made from the lowered one."""
    lower = {"value": 100, "fault": "memory", "fault_above": 50, "fault_once": True}
    stages = [
        fake_stage("one", params=lower, on_memory=[{"value": 50}]),
        fake_stage("two", ["one"]),
    ]
    run(fake_plan(fake_pipeline(*stages), tmp_path))
    assert (tmp_path / "out.txt").read_text() == "one(50)\ntwo(1)\n"
    (tmp_path / "stages" / "one" / "out.txt").unlink()
    run(fake_plan(fake_pipeline(*stages), tmp_path))
    assert (tmp_path / "out.txt").read_text() == "one(100)\ntwo(1)\n"


def test_a_stage_that_someone_kills_runs_once_more_in_full(tmp_path: Path) -> None:
    stage = fake_stage(
        "one", params={"fault": "SIGKILL", "fault_once": True}, on_memory=[{"value": 0}]
    )
    result, heard = run(fake_plan(fake_pipeline(stage), tmp_path))
    assert (tmp_path / "out.txt").read_text() == "one(1)\n"
    assert [event.changes for event in heard.of(StageDegraded)] == [{}]
    assert result.stages[0].degraded == ()


def test_expectations_decide_whatever_the_exit_status(tmp_path: Path) -> None:
    expect = [{"metric": "value", "min": 3, "fault": "photos_do_not_fit", "hint": "overlap"}]
    stage = fake_stage("one", expect=expect)
    error, _ = fail(fake_plan(fake_pipeline(stage), tmp_path))
    assert isinstance(error, DoNotFitError)
    assert "value: 1, at least 3 needed" in error.message
    assert error.hint == "overlap"


def test_what_cannot_fit_is_lowered_or_refused_before_work(tmp_path: Path) -> None:
    memory = {"base_mb": 10, "per_megapixel_mb": 100, "per_thread_mb": 10}
    big = fake_stage(
        "two",
        ["one"],
        params={"max_side": 4000},
        memory=memory,
        on_memory=[{"max_side": "* 0.5"}, {"max_side": "* 0.25"}],
    )
    pipeline = fake_pipeline(fake_stage("one"), big)
    plan = fake_plan(pipeline, tmp_path, memory_budget_bytes=400_000_000)
    _, heard = run(replace(plan, dry_run=True))
    assert heard.of(RunPlanned)[1].changes == {"max_side": 2000}
    assert heard.of(RunPlanned)[1].predicted_bytes == 330_000_000
    _, heard = run(plan)
    assert [dict(event.changes) for event in heard.of(StageDegraded)] == [{"max_side": 2000}]
    for lower in ({"memory_budget_bytes": 70_000_000}, {"degrade": False}):
        other = replace(plan, workspace=tmp_path / "other", **lower)
        error, heard = fail(other)
        assert isinstance(error, MemoryLimitError)
        assert "needs about" in error.message
        assert "--max-memory" in error.hint
        assert heard.of(StageStarted) == []


def test_independent_stages_share_the_budget(tmp_path: Path) -> None:
    slow = {"sleep": 0.4}
    stages = [
        fake_stage("a", params=slow, threads={"max": 1}),
        fake_stage("b", params=slow, threads={"max": 1}),
        fake_stage("c", ["a", "b"]),
    ]
    _, heard = run(fake_plan(fake_pipeline(*stages), tmp_path))
    kinds = [(type(e).__name__, e.stage) for e in heard.events
             if isinstance(e, StageStarted | StageFinished)]  # fmt: skip
    assert kinds[:2] == [("StageStarted", "a"), ("StageStarted", "b")]
    tight = fake_plan(fake_pipeline(*stages), tmp_path / "tight", memory_budget_bytes=90_000_000)
    _, heard = run(tight)
    kinds = [(type(e).__name__, e.stage) for e in heard.events
             if isinstance(e, StageStarted | StageFinished)]  # fmt: skip
    assert kinds[:2] == [("StageStarted", "a"), ("StageFinished", "a")]
