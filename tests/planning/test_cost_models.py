"""Predictions follow the photos, the settings in force and the history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.pipelines import FakePhoto, fake_pipeline, fake_plan, fake_stage

from insaat_cli.pipeline.settings import with_settings
from insaat_cli.planning.cost_models import workload
from insaat_cli.planning.history import History
from insaat_cli.planning.planner import IDLE_BYTES, Planner
from insaat_cli.planning.scheduler import Option

MEMORY = {"base_mb": 10, "per_photo_mb": 1, "per_megapixel_mb": 10, "per_thread_megapixel_mb": 5}
TIME = {"base_s": 1, "per_photo_s": 0.5, "per_photo_megapixel_s": 0.1}


def planner(tmp_path: Path, **fields: object) -> Planner:
    pipeline = fake_pipeline(
        fake_stage("resize", params={"max_side": 2000}, memory=MEMORY),
        fake_stage("dense", ["resize"], params={"max_side": 1000}, memory=MEMORY, time=TIME,
                   on_memory=[{"threads": 1}, {"max_side": "* 0.5"}]),
        fake_stage("fuse", ["dense"], memory=MEMORY, size_from="dense"),
        fake_stage("texture", ["fuse"], memory=MEMORY),
    )  # fmt: skip
    return Planner(fake_plan(pipeline, tmp_path, **fields), History(tmp_path / "history.json"))


def test_photos_are_counted_at_the_size_they_are_seen() -> None:
    load = workload([(4000, 3000), (1000, 500)], 2000)
    assert load.largest_megapixels == pytest.approx(3.0)
    assert load.mean_megapixels == pytest.approx(1.75)
    assert workload([(4000, 3000)], None).largest_megapixels == pytest.approx(12)


def test_each_stage_sees_its_own_size(tmp_path: Path) -> None:
    plan = planner(tmp_path)
    seen = {stage.name: plan.load(stage, stage.params).largest_megapixels for stage in plan.stages}
    assert seen == pytest.approx({"resize": 12, "dense": 0.75, "fuse": 0.75, "texture": 3})
    plan.params["dense"] = {**plan.params["dense"], "max_side": 500}
    fuse = plan.pipeline.stage("fuse")
    assert plan.load(fuse, fuse.params).largest_megapixels == pytest.approx(0.1875)


def test_options_go_from_best_to_cheapest(tmp_path: Path) -> None:
    plan = planner(tmp_path)
    dense = plan.pipeline.stage("dense")
    megabytes = [(o.rung, o.threads, o.memory_bytes / 1e6) for o in plan.options(dense)]
    assert megabytes == [(0, 2, 29.0), (0, 1, 25.25), (1, 1, 25.25), (2, 1, 16.8125)]
    assert plan.seconds(dense) == pytest.approx(1 + 4 * 0.5 + 4 * 0.75 * 0.1)


def test_the_next_rung_is_one_that_changes_something(tmp_path: Path) -> None:
    plan = planner(tmp_path)
    dense = plan.pipeline.stage("dense")
    assert plan.next_rung(dense, Option(rung=0, threads=2, memory_bytes=1)) == 1
    assert plan.next_rung(dense, Option(rung=0, threads=1, memory_bytes=1)) == 2
    assert plan.next_rung(dense, Option(rung=2, threads=1, memory_bytes=1)) is None


def test_measured_costs_correct_the_next_plan(tmp_path: Path) -> None:
    plan = planner(tmp_path)
    dense = plan.pipeline.stage("dense")
    before = plan.options(dense)[0].memory_bytes
    best = plan.options(dense)[0]
    plan.remember(
        dense, dense.params, best, seconds=2 * plan.seconds(dense), peak=int(before * 1.5)
    )
    after = planner(tmp_path)
    assert after.options(dense)[0].memory_bytes == pytest.approx(before * 1.5)
    assert after.seconds(dense) == pytest.approx(2 * plan.seconds(dense))


def test_a_stage_that_went_over_is_predicted_higher(tmp_path: Path) -> None:
    plan = planner(tmp_path)
    dense = plan.pipeline.stage("dense")
    option = plan.options(dense)[0]
    plan.correct(dense, option, option.memory_bytes * 2)
    assert plan.options(dense)[0].memory_bytes == pytest.approx(option.memory_bytes * 2)
    plan.correct(dense, replace(option, memory_bytes=10**12), 10)
    assert plan.options(dense)[0].memory_bytes == pytest.approx(option.memory_bytes * 2)


def test_more_photos_cost_more(tmp_path: Path) -> None:
    few, many = planner(tmp_path), planner(tmp_path, photos=(FakePhoto("a"),) * 100)
    dense = few.pipeline.stage("dense")
    assert many.options(dense)[0].memory_bytes == few.options(dense)[0].memory_bytes + 96_000_000


def test_what_a_lowered_run_took_says_what_a_full_one_takes(tmp_path: Path) -> None:
    """The share that a rung leaves is taken out of the measurement again."""
    ladder = [{"value": 2, "memory": "* 0.5"}]
    stage = fake_stage("one", memory={"base_mb": 100}, on_memory=ladder)
    plan = fake_plan(fake_pipeline(stage), tmp_path)
    first = Planner(plan, History(tmp_path / "history.json"))
    (one,) = first.stages
    full, lowered = first.options(one)[0], first.options(one)[-1]
    assert (full.memory_bytes, lowered.memory_bytes) == (100_000_000, 50_000_000)
    first.remember(one, one.params, lowered, seconds=1.0, peak=60_000_000)
    second = Planner(plan, History(tmp_path / "history.json"))
    assert second.options(one)[0].memory_bytes == pytest.approx(120_000_000)


def test_all_photos_together_count(tmp_path: Path) -> None:
    stage = fake_stage("one", memory={"per_photo_megapixel_mb": 2}, disk={"per_photo_mb": 3})
    planned = Planner(fake_plan(fake_pipeline(stage), tmp_path), History(tmp_path / "history.json"))
    (one,) = planned.stages
    assert planned.options(one)[0].memory_bytes == 4 * 12 * 2 * 1_000_000
    assert planned.disk_bytes(one) == 12_000_000


def test_a_stage_that_is_left_out_needs_next_to_nothing(tmp_path: Path) -> None:
    fields = {"memory": {"base_mb": 900}, "time": {"base_s": 60}, "params": {"enabled": False}}
    pipeline = fake_pipeline(fake_stage("one", **fields, on_memory=[{"enabled": False}]))
    left_out = Planner(fake_plan(pipeline, tmp_path), History(tmp_path / "history.json"))
    (one,) = left_out.stages
    assert {option.memory_bytes for option in left_out.options(one)} == {IDLE_BYTES}
    assert left_out.seconds(one) < 1
    left_out.remember(one, one.params, left_out.options(one)[0], seconds=0.5, peak=1000)
    assert not left_out.history.read(), "it says nothing about what the work takes"

    whole = with_settings(pipeline, ["one.enabled=true"])
    working = Planner(fake_plan(whole, tmp_path), History(tmp_path / "history.json"))
    (one,) = working.stages
    options = working.options(one)
    assert (options[0].memory_bytes, options[-1].memory_bytes) == (900_000_000, IDLE_BYTES)
    assert working.seconds(one) == 60
