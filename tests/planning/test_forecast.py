"""Early stages are lowered where later ones would not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.fakes.pipelines import Heard, fake_pipeline, fake_plan, fake_stage

from insaat_cli.errors import MemoryLimitError, StageError
from insaat_cli.pipeline.definition import Pipeline
from insaat_cli.planning.forecast import forecast_within_budget
from insaat_cli.planning.history import History
from insaat_cli.runner.events import RunFailed, StageDegraded, StageFailed, StageStarted
from insaat_cli.runner.loop import run_pipeline
from insaat_cli.workspace.workspace import Workspace

MB = 1_000_000


def pipeline(**last: Any) -> Pipeline:
    """depth works at its own size; fuse reads that size, and has no ladder."""
    depth = fake_stage(
        "depth",
        ["resize"],
        params={"max_side": 4000},
        memory={"base_mb": 10},
        on_memory=[{"threads": 1}, {"max_side": "* 0.5"}, {"max_side": "* 0.25"}],
    )
    entry = {"memory": {"base_mb": 10, "per_photo_megapixel_mb": 10}, "size_from": "depth", **last}
    return fake_pipeline(fake_stage("resize"), depth, fake_stage("fuse", ["depth"], **entry))


def plan_for(tmp_path: Path, budget_mb: int, **fields: Any) -> Any:
    fields = {"memory_budget_bytes": budget_mb * MB, **fields}
    return fake_plan(fields.pop("pipeline", pipeline()), tmp_path / "out", **fields)


def rungs(tmp_path: Path, budget_mb: int) -> dict[str, int]:
    plan = plan_for(tmp_path, budget_mb)
    history = History(tmp_path / "history.json")
    found, stages = forecast_within_budget(plan, history, Workspace(plan.workspace), [])
    assert all(one.fits for one in stages) == (budget_mb >= 70)
    return found


def test_the_stage_before_is_lowered_as_far_as_needed(tmp_path: Path) -> None:
    assert rungs(tmp_path, 600) == {"resize": 0, "depth": 0, "fuse": 0}
    assert rungs(tmp_path, 200) == {"resize": 0, "depth": 2, "fuse": 0}
    assert rungs(tmp_path, 70) == {"resize": 0, "depth": 3, "fuse": 0}
    assert rungs(tmp_path, 30) == {"resize": 0, "depth": 0, "fuse": 0}


def test_a_run_says_what_was_degraded(tmp_path: Path) -> None:
    heard = Heard()
    history = History(tmp_path / "history.json")
    result = run_pipeline(plan_for(tmp_path, 200), heard, history=history)
    (lowered,) = heard.of(StageDegraded)
    assert (lowered.stage, dict(lowered.changes)) == ("depth", {"max_side": 2000})
    assert "later stage" in lowered.reason
    assert result.stages[1].degraded
    predicted = {event.stage: event.predicted_bytes for event in heard.of(StageStarted)}
    assert predicted["fuse"] == 130 * MB


def test_a_result_that_is_too_large_for_a_smaller_budget_is_made_again(tmp_path: Path) -> None:
    """As after --until depth, where what follows was not looked at, or with less than before."""
    history = History(tmp_path / "history.json")
    run_pipeline(plan_for(tmp_path, 200, until_stage="depth"), Heard(), history=history)
    heard, again = Heard(), Heard()

    run_pipeline(plan_for(tmp_path, 200), heard, history=history)
    run_pipeline(plan_for(tmp_path, 200), again, history=history)

    assert [event.stage for event in heard.of(StageStarted)] == ["depth", "fuse"]
    assert dict(heard.of(StageDegraded)[0].changes) == {"max_side": 2000}
    assert again.of(StageStarted) == [], "the lowered result stands"


def test_no_degrade_refuses_and_names_what_would_do(tmp_path: Path) -> None:
    heard = Heard()
    with pytest.raises(MemoryLimitError) as caught:
        run_pipeline(plan_for(tmp_path, 200, degrade=False), heard)
    assert "--max-memory 490M" in caught.value.hint
    assert heard.of(StageStarted) == heard.of(StageFailed) == [], "nothing ran that could fail"
    assert heard.of(RunFailed)[0].stage == caught.value.stage


def test_above_a_default_budget_it_runs_alone(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, 200, degrade=False, memory_stretch_bytes=500 * MB)
    result = run_pipeline(plan, Heard(), history=History(tmp_path / "history.json"))
    assert not any(stage.degraded for stage in result.stages)


def test_a_disk_that_is_too_small_is_named_before_any_work(tmp_path: Path) -> None:
    heard = Heard()
    large = pipeline(disk={"base_mb": 50_000_000})
    with pytest.raises(StageError, match="not enough disk space") as caught:
        run_pipeline(plan_for(tmp_path, 900, pipeline=large), heard)
    assert "-o" in caught.value.hint
    assert heard.of(StageStarted) == []
