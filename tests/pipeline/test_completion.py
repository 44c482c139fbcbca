"""`--complete off` as settings of the stages that make up more than what was measured."""

from __future__ import annotations

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.pipeline.settings import completion_settings, with_settings
from insaat_cli.remote.queue.job_spec import SETTING


def test_on_is_the_default_of_the_pipeline() -> None:
    pipeline = find_pipeline("embedded")
    assert completion_settings(pipeline, Completion.ON) == ()
    assert pipeline.stage("surface").params["close_levels"] == 4


def test_off_becomes_settings_that_a_remote_job_may_have() -> None:
    pipeline = find_pipeline("embedded")
    settings = completion_settings(pipeline, Completion.OFF)
    assert "surface.close_levels=0" in settings
    assert all(SETTING.fullmatch(setting) for setting in settings)
    assert with_settings(pipeline, settings).stage("surface").params["close_levels"] == 0


@pytest.mark.parametrize("pipeline", ["colmap-openmvs", "openmvg-openmvs"])
def test_pipeline_that_cannot_says_so_unless_nothing_is_asked(pipeline: str) -> None:
    found = find_pipeline(pipeline)
    assert completion_settings(found, Completion.ON) == ()
    with pytest.raises(UsageError, match="does not support --complete off"):
        completion_settings(found, Completion.OFF)
