"""Whose a result is after a run that did less than all: real runs of fake stages."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.pipelines import FakePhoto, fake_plan, three_stages
from tests.fakes.runs import WHOLE, fail, record, run

from insaat_cli.errors import ExitCode, MemoryLimitError, UsageError
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.runner.loop import run_pipeline
from insaat_cli.runner.stop_request import StopRequest
from insaat_cli.workspace.results import older_results

NAME = "out.txt"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a finished run."""
    workspace = tmp_path_factory.mktemp("finished") / "out"
    run(fake_plan(three_stages(), workspace))
    return workspace


@pytest.fixture
def plan(finished: Path, tmp_path: Path) -> RunPlan:
    """The plan of that run, in a copy of its workspace."""
    shutil.copytree(finished, tmp_path / "out")
    return fake_plan(three_stages(), tmp_path / "out")


def other(plan: RunPlan, **params: Any) -> RunPlan:
    return replace(plan, pipeline=three_stages(two={"value": 5, **params}))


def statuses(plan: RunPlan) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in record(plan.workspace)["stages"]}


def test_a_result_says_which_run_it_is_of(plan: RunPlan) -> None:
    first = record(plan.workspace)
    file = first["result_files"][NAME]
    assert (file["run"], file["stage"], file["stale"]) == (first["run"], "three", False)
    assert file["bytes"] == len(WHOLE)
    made = first["runs"][file["run"]]
    assert (made["preset"], made["photos"], made["params"]["two"]["value"]) == ("normal", 4, 1)
    assert made["peak_bytes"] == first["peak_bytes"] > 0
    assert made["seconds"] == first["seconds"] > 0
    assert not first["reused"]
    assert older_results(plan.workspace) == {}


def test_nothing_to_do_keeps_the_figures_of_the_run_that_did_it(plan: RunPlan) -> None:
    first = record(plan.workspace)
    for _ in range(2):
        result, _ = run(plan)
        again = record(plan.workspace)
        for key in ("peak_bytes", "seconds", "results"):
            assert again[key] == first[key]
        assert again["reused"] and again["figures_run"] == first["run"] != again["run"]
        assert again["result_files"][NAME]["run"] == first["run"]
        assert (result.peak_bytes, result.seconds) == (first["peak_bytes"], first["seconds"])
        assert result.reused is not None and result.reused.started == first["started"]


def test_until_keeps_what_still_holds(plan: RunPlan) -> None:
    first = record(plan.workspace)
    result, _ = run(replace(plan, until_stage="one"))
    written = record(plan.workspace)
    assert written["results"] == [NAME]
    assert written["result_files"] == first["result_files"]
    assert statuses(plan) == dict.fromkeys(("one", "two", "three"), "skipped")
    for key in ("peak_bytes", "cpu_seconds"):
        kept = [stage[key] for stage in written["stages"]]
        assert kept == [stage[key] for stage in first["stages"]]
        assert all(figure > 0 for figure in kept)
    assert result.notes == () and result.results == ()


def test_until_with_other_settings_marks_the_old_result(plan: RunPlan) -> None:
    result, _ = run(replace(other(plan), until_stage="two"))
    written = record(plan.workspace)
    assert written["results"] == []
    assert written["result_files"][NAME]["stale"]
    assert list(statuses(plan)) == ["one", "two"]
    (note,) = result.notes
    assert note.startswith(f"{NAME} is from the run of 2") and "(normal, 4 photos)" in note
    assert note.endswith("; the last run, with other photos or settings, stopped after two")
    assert (plan.workspace / NAME).read_text() == WHOLE


def test_a_failed_run_leaves_the_old_result_and_says_so(plan: RunPlan) -> None:
    first = record(plan.workspace)
    fail(other(plan, fault="exit"))
    written = record(plan.workspace)
    assert written["results"] == [] and written["result_files"][NAME]["stale"]
    assert written["result_files"][NAME]["run"] == first["run"] in written["runs"]
    assert "with other photos or settings, failed in two" in older_results(plan.workspace)[NAME]
    assert (plan.workspace / NAME).read_text() == WHOLE
    run(plan)
    assert older_results(plan.workspace) == {}
    assert record(plan.workspace)["results"] == [NAME]


def test_other_photos_and_a_run_that_was_stopped(plan: RunPlan) -> None:
    stop = StopRequest()
    stop.code = ExitCode.TERMINATED
    with pytest.raises(Exception, match="stopped"):
        run_pipeline(replace(plan, photos=(FakePhoto("x.jpg"),)), lambda event: None, stop=stop)
    assert record(plan.workspace)["result_files"][NAME]["stale"]
    said = older_results(plan.workspace)[NAME]
    assert said.endswith("with other photos or settings, was stopped")
    assert record(plan.workspace)["report_run"] != record(plan.workspace)["run"]


def test_the_same_again_from_the_start_that_fails(plan: RunPlan) -> None:
    """What is there is what it would have made; but it did not make it."""
    error, _ = fail(replace(plan, memory_budget_bytes=1_000_000, restart=True))
    assert isinstance(error, MemoryLimitError)
    written = record(plan.workspace)
    assert written["results"] == [] and not written["result_files"][NAME]["stale"]
    assert older_results(plan.workspace)[NAME].endswith("; the last run failed in one")


def test_a_result_that_no_run_writes_any_more_is_marked(plan: RunPlan) -> None:
    written = record(plan.workspace)
    written["result_files"]["model.obj"] = written["result_files"][NAME]
    (plan.workspace / "run.json").write_text(json.dumps(written))
    (plan.workspace / "model.obj").write_text("obj")
    result, _ = run(other(plan))
    (note,) = result.notes
    assert note.startswith("model.obj is from the run") and note.endswith("did not write it")
    assert record(plan.workspace)["results"] == [NAME]


def test_a_record_of_an_earlier_version(plan: RunPlan) -> None:
    """Without runs and marks; its stages had none either."""
    old = record(plan.workspace)
    for key in ("run", "runs", "result_files", "seconds", "reused", "figures_run", "report_run",
                "until"):  # fmt: skip
        del old[key]
    for path in (plan.workspace / "stages").glob("*/stage.json"):
        marker = json.loads(path.read_text())
        del marker["run"]
        path.write_text(json.dumps(marker))
    for stage in old["stages"]:
        del stage["run"]
    (plan.workspace / ".insaat.json").unlink()
    (plan.workspace / "run.json").write_text(json.dumps(old))
    run(replace(plan, until_stage="one"))
    assert record(plan.workspace)["results"] == [NAME]
    (plan.workspace / "run.json").write_text(json.dumps(old))
    result, _ = run(plan)
    assert result.peak_bytes == max(stage["peak_bytes"] for stage in old["stages"])
    assert result.reused is not None
    (plan.workspace / "run.json").write_text(json.dumps(old))
    fail(other(plan, fault="exit"))
    assert older_results(plan.workspace)[NAME].startswith(f"{NAME} is from an earlier run; ")


def test_an_edited_result_is_kept(plan: RunPlan) -> None:
    (plan.workspace / NAME).write_text("mine")
    result, _ = run(other(plan))
    assert (plan.workspace / "out.edited.txt").read_text() == "mine"
    assert "two(5)" in (plan.workspace / NAME).read_text()
    assert result.notes == (
        f"{NAME} had been changed; the changed file was kept as out.edited.txt",
    )
    assert run(other(plan))[0].notes == ()


def test_a_file_of_somebody_else_is_refused_before_any_work(tmp_path: Path) -> None:
    plan = fake_plan(three_stages(), tmp_path)
    (tmp_path / NAME).write_text("theirs")
    for asked in (plan, replace(plan, dry_run=True)):
        error, heard = fail(asked)
        assert isinstance(error, UsageError) and NAME in error.message
        assert heard.events == []
        assert [path.name for path in tmp_path.iterdir()] == [NAME]
    run(replace(plan, overwrite=True))
    assert (tmp_path / NAME).read_text() == WHOLE


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_disk_is_checked_before_any_work(tmp_path: Path, dry_run: bool) -> None:
    pipeline = three_stages()
    huge = replace(pipeline.stages[0].disk, base_mb=1e12)
    stages = (replace(pipeline.stages[0], disk=huge), *pipeline.stages[1:])
    plan = fake_plan(replace(pipeline, stages=stages), tmp_path / "out", dry_run=dry_run)
    assert "not enough disk space for this run" in fail(plan)[0].message
