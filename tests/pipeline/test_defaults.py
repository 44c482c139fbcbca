"""What a run takes where nothing else is asked for stands once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.pipeline.defaults import (
    ALWAYS_WRITTEN,
    DEFAULT_PIPELINE,
    DEFAULT_PRESET,
    FORMATS,
    check_formats,
)
from insaat_cli.pipeline.definition import Pipeline
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.pipeline.settings import with_preset
from insaat_cli.reconstruction.options import ReconstructionOptions
from insaat_cli.remote.client.submit import SubmitOptions
from insaat_cli.remote.queue.job_spec import JobSpec


def test_a_local_and_a_remote_run_take_the_same() -> None:
    here = ReconstructionOptions(sources=(Path("photos"),))
    asked, queued = SubmitOptions(sources=(Path("photos"),)), JobSpec(job="j", photos=())
    assert here.preset == asked.preset == queued.preset == DEFAULT_PRESET
    assert here.formats == asked.formats == queued.formats == (ALWAYS_WRITTEN,)
    assert asked.pipeline == queued.pipeline == DEFAULT_PIPELINE


def test_the_defaults_are_there() -> None:
    assert DEFAULT_PRESET in find_pipeline(DEFAULT_PIPELINE).presets
    assert ALWAYS_WRITTEN in FORMATS


def test_a_pipeline_without_presets_takes_the_default_ones_name_alone() -> None:
    plain = Pipeline(name="plain", summary="", source="plain.yaml")
    assert with_preset(plain, DEFAULT_PRESET) is plain
    with pytest.raises(UsageError, match="unknown preset 'draft'") as refused:
        with_preset(plain, "draft")
    assert refused.value.hint == "it has no presets"
    some = dataclasses.replace(plain, presets={"draft": {}})
    with pytest.raises(UsageError, match="unknown preset 'normal'"):
        with_preset(some, DEFAULT_PRESET)


def test_an_unknown_format_is_refused() -> None:
    check_formats(FORMATS)
    with pytest.raises(UsageError, match="unknown output format 'fbx'"):
        check_formats(["glb", "fbx"])
