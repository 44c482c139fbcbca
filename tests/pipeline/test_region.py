"""`--roi` as settings of the stage that can leave out the background."""

from __future__ import annotations

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.pipeline.settings import region_settings, with_settings
from insaat_cli.remote.queue.job_spec import SETTING


def test_auto_is_the_default_of_the_pipeline() -> None:
    pipeline = find_pipeline("embedded")
    assert region_settings(pipeline, "auto") == ()
    assert pipeline.stage("fuse").params["roi"] == "auto"


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("off", "off"),
        (
            "-1,0,-1.5, 1,2e0,.5",
            "-1.000000,0.000000,-1.500000,1.000000,2.000000,0.500000",
        ),
    ],
)
def test_choice_becomes_a_setting_that_a_remote_job_may_have(choice: str, value: str) -> None:
    pipeline = find_pipeline("embedded")
    settings = region_settings(pipeline, choice)
    assert settings == (f"fuse.roi={value}",)
    assert SETTING.fullmatch(settings[0])
    assert with_settings(pipeline, settings).stage("fuse").params["roi"] == value


@pytest.mark.parametrize("pipeline", ["colmap-openmvs", "openmvg-openmvs"])
def test_pipeline_that_cannot_says_so_unless_nothing_is_asked(pipeline: str) -> None:
    found = find_pipeline(pipeline)
    assert region_settings(found, "auto") == region_settings(found, "off") == ()
    with pytest.raises(UsageError, match="does not support --roi"):
        region_settings(found, "0,0,0,1,1,1")


@pytest.mark.parametrize("choice", ["on", "", "1,2,3", "0,0,0,1,1,inf", "0,0,0,0,1,1"])
def test_what_is_no_choice_is_refused(choice: str) -> None:
    with pytest.raises(UsageError):
        region_settings(find_pipeline("embedded"), choice)
