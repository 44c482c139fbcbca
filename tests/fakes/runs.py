"""Runs of fake stages, and what they left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from insaat_cli.errors import InsaatError
from insaat_cli.planning.history import History, Measurement
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.runner.loop import run_pipeline
from insaat_cli.runner.run_result import RunResult
from tests.fakes.pipelines import Heard

WHOLE = "one(1)\ntwo(1)\nthree(1)\n"


class Forgetful(History):
    """Predictions of these tests are the models', not corrected by the test before."""

    def read(self) -> dict[str, list[Measurement]]:
        return {}


def run(plan: RunPlan) -> tuple[RunResult, Heard]:
    heard = Heard()
    return run_pipeline(plan, heard, history=Forgetful()), heard


def fail(plan: RunPlan) -> tuple[InsaatError, Heard]:
    heard = Heard()
    with pytest.raises(InsaatError) as caught:
        run_pipeline(plan, heard, history=Forgetful())
    return caught.value, heard


def record(workspace: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((workspace / "run.json").read_text())
    return value


def started(workspace: Path) -> list[str]:
    return (workspace / "started.txt").read_text().split()
