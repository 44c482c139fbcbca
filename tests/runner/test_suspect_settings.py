"""Where the photos are blamed, what else may be at fault is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.fakes.attempts import Remembered
from tests.fakes.pipelines import fake_plan

from insaat_cli.errors import DoNotFitError, InsaatError, PhotosError, StageError
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.pipeline.settings import with_preset, with_settings
from insaat_cli.planning.planner import Planner
from insaat_cli.reconstruction.options import ReconstructionOptions
from insaat_cli.reconstruction.reconstruct import chosen_pipeline, usual_pipeline
from insaat_cli.runner.suspect_settings import with_suspects

DRAFT = with_preset(find_pipeline("embedded"), "draft")


def hint(
    *settings: str,
    stage: str = "fuse",
    error: InsaatError | None = None,
    lowered: dict[str, dict[str, Any]] | None = None,
    **fields: Any,
) -> list[str]:
    """The lines of the hint of an error that `stage` ended with."""
    plan = fake_plan(with_settings(DRAFT, settings), Path("/nonexistent"), usual=DRAFT, **fields)
    planner = Planner(plan, Remembered())
    for name, params in (lowered or {}).items():
        planner.params[name] = {**planner.params[name], **params}
    error = error or DoNotFitError("next to no depth", hint="sharper photos")
    return with_suspects(error, plan.pipeline.stage(stage), planner).hint.splitlines()


def test_nothing_else_is_to_blame_where_nothing_was_set() -> None:
    assert hint() == ["sharper photos"]


def test_settings_of_the_stage_and_of_those_before_it_are_named() -> None:
    lines = hint("dense.max_cost=0.1", "features.max_features=100", "texture.size=512")
    assert lines == [
        "sharper photos",
        "or drop --set features.max_features=100 (default 2048), "
        "--set dense.max_cost=0.1 (default 0.65)",
    ]


def test_a_region_is_named_as_it_was_given() -> None:
    assert hint("fuse.roi=off", stage="surface")[1] == "or drop --roi off (default auto)"


def test_masks_are_named() -> None:
    (_, line) = hint(masks=(("1.jpg", "0"),))
    assert "black pixels are ignored" in line


def test_what_was_lowered_for_memory_is_named() -> None:
    (_, line) = hint(lowered={"resize": {"max_side": 315}})
    assert line == "or raise --max-memory: to fit in memory, resize.max_side (to 315) was reduced"


@pytest.mark.parametrize("error", [StageError("it crashed", hint="see its log")])
def test_faults_that_do_not_blame_the_photos_stay_as_they_are(error: InsaatError) -> None:
    assert hint("dense.max_cost=0.1", error=error) == ["see its log"]


def test_too_few_usable_photos_count_as_blamed() -> None:
    assert len(hint("features.contrast=0.1", error=PhotosError("blank", hint="light"))) == 2


def test_a_reconstruction_knows_what_is_usual() -> None:
    options = ReconstructionOptions(
        sources=(Path("photos"),), preset="draft", settings=("dense.max_cost=0.1",)
    )
    assert usual_pipeline(options).stage("dense").params["max_cost"] == 0.65
    assert chosen_pipeline(options).stage("dense").params["max_cost"] == 0.1
