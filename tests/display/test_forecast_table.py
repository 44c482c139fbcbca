"""What `insaat plan` shows of a forecast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.fakes.pipelines import fake_pipeline, fake_plan, fake_stage

from insaat_cli.display.forecast_table import preset_lines, stage_lines
from insaat_cli.planning.forecast import Forecast
from insaat_cli.planning.scheduler import Option
from insaat_cli.reconstruction.preset_forecast import PresetForecast

MB = 1_000_000


def preset_forecast(tmp_path: Path, **changed: Any) -> PresetForecast:
    pipeline = fake_pipeline(fake_stage("dense", params={"max_side": 1000}))
    forecast = Forecast(
        stage=pipeline.stages[0],
        skipped=False,
        option=Option(rung=0, threads=2, memory_bytes=300 * MB),
        fits=True,
        min_bytes=250 * MB,
        params={"max_side": 1000},
        seconds=61.0,
        disk_bytes=5 * MB,
    )
    plan = fake_plan(pipeline, tmp_path, memory_budget_bytes=1000 * MB)
    return PresetForecast(preset="draft", plan=plan, stages=(replace(forecast, **changed),))


def remark(forecast: PresetForecast) -> str:
    return stage_lines(forecast)[-1].partition("  5 MB")[2].strip()


def test_a_stage_as_asked_for_needs_no_remark(tmp_path: Path) -> None:
    forecast = preset_forecast(tmp_path)
    assert stage_lines(forecast)[-1].split()[:4] == ["dense", "300", "MB", "2"]
    assert remark(forecast) == ""


def test_reduced_settings_beyond_the_budget_are_two_remarks(tmp_path: Path) -> None:
    beyond = Option(rung=1, threads=1, memory_bytes=1200 * MB)
    forecast = preset_forecast(tmp_path, option=beyond, params={"max_side": 500})
    assert remark(forecast) == "with max_side 500; exceeds the budget, runs alone"
    assert preset_lines({"draft": forecast})[-1].endswith("with reduced settings")


def test_what_does_not_fit_says_so(tmp_path: Path) -> None:
    forecast = preset_forecast(tmp_path, fits=False)
    assert remark(forecast) == "does not fit"
    assert preset_lines({"draft": forecast})[-1].endswith("does not fit")
