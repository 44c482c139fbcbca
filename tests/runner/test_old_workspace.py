"""A workspace of the time before modules moved: none of its stages runs again for a rename.

`tests/data/old_workspace` is what a draft run of ten rendered photos recorded before the move;
`pipeline.json` there is the pipeline of that time, as far as fingerprints look at it. A stage whose
`version` was raised since then runs again, and rightly: that is no rename.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from insaat_cli.photos.photo_set import PhotoSet
from insaat_cli.pipeline.defaults import DEFAULT_PIPELINE
from insaat_cli.pipeline.definition import Pipeline, Stage
from insaat_cli.pipeline.fingerprint import (
    photos_fingerprint,
    stage_fingerprint,
    stage_identity,
)
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.planning.forecast import forecast_stages
from insaat_cli.planning.history import History
from insaat_cli.planning.planner import Planner
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.workspace.workspace import MARKER_NAME, Workspace

DATA = Path(__file__).parents[1] / "data" / "old_workspace"
STAGES = (
    "resize", "features", "matching", "sparse", "undistort", "dense", "fuse", "surface", "texture",
    "inspection", "export",
)  # fmt: skip


@pytest.fixture
def record() -> dict[str, Any]:
    return dict(json.loads((DATA / "run.json").read_text()))


@pytest.fixture
def photos() -> PhotoSet:
    return PhotoSet.from_json(json.loads((DATA / "photos.json").read_text()))


@pytest.fixture
def markers() -> dict[str, dict[str, Any]]:
    return {name: json.loads((DATA / "stages" / name / MARKER_NAME).read_text()) for name in STAGES}


@pytest.fixture
def old_pipeline() -> Pipeline:
    """With the parameters of that run, and with no models or ladders."""
    found = json.loads((DATA / "pipeline.json").read_text())
    stages = tuple(
        Stage(**{**entry, "needs": tuple(entry["needs"]), "outputs": tuple(entry["outputs"])})
        for entry in found["stages"]
    )
    return Pipeline(name=found["name"], summary="", source="pipeline.json", stages=stages)


@pytest.fixture
def workspace(tmp_path: Path, markers: Mapping[str, Mapping[str, Any]]) -> Workspace:
    """The old one, with empty outputs of the recorded sizes."""
    shutil.copytree(DATA, tmp_path / "set-3d")
    workspace = Workspace(tmp_path / "set-3d")
    for stage, marker in markers.items():
        for name, size in marker["outputs"].items():
            path = workspace.folder(stage) / name
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
                path /= "all"
            with path.open("wb") as file:
                file.truncate(size)
    return workspace


def test_every_stage_of_an_old_workspace_is_reused(
    record: Mapping[str, Any],
    photos: PhotoSet,
    old_pipeline: Pipeline,
    workspace: Workspace,
    tmp_path: Path,
) -> None:
    plan = RunPlan(
        pipeline=old_pipeline,
        preset=record["preset"],
        photos=photos.used,
        workspace=workspace.root,
        memory_budget_bytes=record["memory_budget_bytes"],
        threads=record["threads"],
    )
    planner = Planner(plan, History(tmp_path / "history.json"))
    stages = list(forecast_stages(planner, workspace, ()))
    assert [one.stage.name for one in stages] == list(STAGES)
    assert [one.stage.name for one in stages if not one.skipped] == []


@pytest.mark.parametrize("name", STAGES)
def test_the_shipped_stage_has_the_old_identity(
    name: str,
    photos: PhotoSet,
    old_pipeline: Pipeline,
    markers: Mapping[str, Mapping[str, Any]],
) -> None:
    """Unless its version was raised, nothing of it but its parameters may differ."""
    old, shipped = old_pipeline.stage(name), find_pipeline(DEFAULT_PIPELINE).stage(name)
    assert shipped.run == old.run
    assert find_spec(str(old.run)) is not None
    stage = replace(shipped, params=old.params) if shipped.version == old.version else old
    identities = {
        other: stage_identity(marker["fingerprint"], marker["params"])
        for other, marker in markers.items()
    }
    contents = photos_fingerprint((photo.name, photo.sha256) for photo in photos.used)
    assert stage_fingerprint(stage, identities, contents) == markers[name]["fingerprint"]
