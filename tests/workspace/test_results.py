"""What is said of a model that the last run did not make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from insaat_cli.workspace.results import older_model, older_results

RUN = {"started": "2026-01-02T03:04:05+00:00", "preset": "high", "photos": 24, "request": "a"}


def workspace(root: Path, **fields: Any) -> Path:
    """With a model of run `old`; the last run is `new`, of another request."""
    record = {
        "run": "new",
        "runs": {"old": RUN, "new": {**RUN, "request": "b"}},
        "result_files": {"model.glb": {"run": "old", "request": "a", "stale": True}},
        "started": "2026-01-03T00:00:00+00:00",
        "finished": "2026-01-03T00:01:00+00:00",
        "error": None,
        **fields,
    }
    (root / "model.glb").write_text("model")
    (root / "run.json").write_text(json.dumps(record))
    return root / "model.glb"


@pytest.mark.parametrize(
    ("fields", "how"),
    [
        ({"error": {"code": 5, "stage": "dense"}}, "failed in dense"),
        ({"error": {"code": 2, "stage": ""}}, "failed"),
        ({"error": {"code": 130, "stage": ""}}, "was stopped"),
        ({"error": {"code": 143, "stage": ""}}, "was stopped"),
        ({"finished": None}, "has not ended"),
        ({"until": "sparse"}, "stopped after sparse"),
        ({}, "did not write it"),
    ],
)
def test_how_the_last_run_ended(tmp_path: Path, fields: dict[str, Any], how: str) -> None:
    model = workspace(tmp_path, **fields)
    whose = "model.glb is from the run of 2026-01-02 03:04 UTC (high, 24 photos)"
    said = f"{whose}; the last run, with other photos or settings, {how}"
    assert older_model(model) == said
    assert older_results(tmp_path) == {"model.glb": said}


def test_nothing_is_said_of_a_model_that_holds(tmp_path: Path) -> None:
    same = {"old": RUN, "new": RUN}
    assert older_model(workspace(tmp_path, runs=same)) is None
    assert older_model(workspace(tmp_path, runs=same, until="sparse")) is None
    failed = older_model(workspace(tmp_path, runs=same, error={"code": 5}))
    assert failed is not None and failed.endswith("photos); the last run failed")
    (tmp_path / "model.glb").unlink()
    assert older_results(tmp_path) == {}


def test_a_model_that_the_record_does_not_know(tmp_path: Path) -> None:
    """Earlier versions forgot their results when a run failed."""
    model = workspace(tmp_path, result_files={}, error={"code": 5, "stage": "dense"})
    assert older_model(model) == "model.glb is from an earlier run; the last run failed in dense"
    assert older_model(tmp_path / "my.glb") is None
    assert older_model(workspace(tmp_path, result_files={})) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"metres_per_unit": 1}', '{"result_files": {"model.glb": 3}}',
             '{"results": ["model.glb"], "stages": [3]}', '{"runs": 1, "result_files": 2}'],
)  # fmt: skip
def test_nonsense_says_nothing(tmp_path: Path, text: str) -> None:
    model = workspace(tmp_path)
    (tmp_path / "run.json").write_text(text)
    assert older_model(model) is None
    assert older_results(tmp_path) == {}
