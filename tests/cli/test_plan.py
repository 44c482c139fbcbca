"""insaat plan, history and the memory lines of doctor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from insaat_cli.cli.app import run
from insaat_cli.errors import ExitCode

Capture = pytest.CaptureFixture[str]


def test_plan_shows_stages_and_every_preset_and_writes_nothing(
    photos: Path, capsys: Capture
) -> None:
    assert run(["plan", str(photos)]) == 0
    out = capsys.readouterr().out
    assert "4 photos; memory limit" in out
    for word in ("resize", "export", "draft", "normal", "high", "peak memory", "disk"):
        assert word in out
    assert not photos.with_name("my photos-3d").exists()
    assert run(["plan", str(photos), "--preset", "draft", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    forecasts = {event["preset"]: event for event in events if event["event"] == "forecast"}
    assert list(forecasts) == ["draft", "normal", "high"]
    assert forecasts["draft"]["disk_bytes"] <= forecasts["high"]["disk_bytes"]
    assert forecasts["draft"]["stages"][0]["stage"] == "resize"


def test_plan_under_a_small_budget(photos: Path, capsys: Capture) -> None:
    assert run(["plan", str(photos), "--max-memory", "100M"]) == 0
    assert "does not fit" in capsys.readouterr().out


def test_history_shows_and_forgets(photos: Path, fake: Callable[..., str], capsys: Capture) -> None:
    assert run(["reconstruct", str(photos), "--pipeline", fake(), "-q"]) == 0
    assert run(["history", "show"]) == 0
    assert "fake/last/1" in capsys.readouterr().out
    assert run(["history", "clear"]) == 0
    assert "deleted the measurements of 2 stages" in capsys.readouterr().out
    assert run(["history", "show", "--json"]) == 0
    assert capsys.readouterr().out == ""


def test_no_degrade_ends_with_6_before_any_work(
    photos: Path, fake: Callable[..., str], capsys: Capture
) -> None:
    command = ["reconstruct", str(photos), "--max-memory", "64M", "--no-degrade", "--json"]
    assert run(command) == ExitCode.MEMORY
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "stage_started" not in {event["event"] for event in events}
    assert "--max-memory" in events[-1]["hint"]
