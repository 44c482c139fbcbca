"""What `insaat plan` computes for all presets, and the budget that many plans share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.fakes.pipelines import Heard

from insaat_cli.machine.memory_budget import MemoryBudget, memory_budget
from insaat_cli.planning.scheduler import Budget
from insaat_cli.reconstruction import batch, reconstruct
from insaat_cli.reconstruction.options import ReconstructionOptions
from insaat_cli.reconstruction.preset_forecast import forecast_presets
from insaat_cli.runner.loop import Job


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        block = random.Random(number).randbytes(16 * 12 * 3)
        image = Image.frombytes("RGB", (16, 12), block).resize((640, 480))
        image.save(folder / f"{number}.jpg")
    return folder


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[MemoryBudget]:
    """Every budget that is computed."""
    found: list[MemoryBudget] = []

    def counted(*arguments: Any) -> MemoryBudget:
        found.append(memory_budget(*arguments))
        return found[-1]

    monkeypatch.setattr(reconstruct, "memory_budget", counted)
    return found


def test_all_presets_are_forecast_under_one_budget(
    photos: Path, computed: list[MemoryBudget]
) -> None:
    options = ReconstructionOptions(sources=(photos,), max_memory="2G", threads=3)
    forecasts = forecast_presets(options, Heard())
    assert list(forecasts) == ["normal", "draft", "high"]
    expected = Budget(memory_bytes=2_000_000_000, cores=3)
    assert [forecast.plan.budget for forecast in forecasts.values()] == [expected] * 3
    assert len(computed) == 1


def test_all_sets_of_a_command_share_one_budget(
    photos: Path, tmp_path: Path, computed: list[MemoryBudget], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[Job] = []

    def run_pipelines(jobs: Sequence[Job], **options: Any) -> None:
        planned.extend(jobs)
        raise StopIteration

    monkeypatch.setattr(batch, "run_pipelines", run_pipelines)
    sets = {
        name: ReconstructionOptions(sources=(photos,), output=tmp_path / name, max_memory="2G")
        for name in ("a", "b", "c")
    }
    with pytest.raises(StopIteration):
        batch.reconstruct_all(sets, lambda name, event: None, lambda outcome: None)
    assert [job.plan.budget.memory_bytes for job in planned] == [2_000_000_000] * 3
    assert len(computed) == 1
