"""`--background keep` from options and jobs files down to the pipeline that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from insaat_cli.pipeline.background import Background
from insaat_cli.reconstruction.jobs_file import read_jobs
from insaat_cli.reconstruction.options import ReconstructionOptions
from insaat_cli.reconstruction.reconstruct import chosen_pipeline


def background(options: ReconstructionOptions) -> object:
    return chosen_pipeline(options).stage("resize").params["background"]


def test_auto_is_left_to_the_pipeline_and_to_set() -> None:
    assert background(ReconstructionOptions(sources=(Path("a"),))) == "auto"
    set_so = ReconstructionOptions(sources=(Path("a"),), settings=("resize.background=keep",))
    assert background(set_so) == "keep"


@pytest.mark.parametrize("pipeline", ["embedded", "colmap-openmvs", "openmvg-openmvs"])
def test_keep_is_known_to_every_pipeline(pipeline: str) -> None:
    options = ReconstructionOptions(
        sources=(Path("a"),), pipeline=pipeline, background=Background.KEEP
    )
    assert background(options) == "keep"


def test_a_jobs_file_says_it(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text("jobs: [{photos: a, background: keep}, {photos: b}]")
    sets = read_jobs(jobs, ReconstructionOptions(sources=()), None)
    assert [one.background for one in sets.values()] == [Background.KEEP, Background.AUTO]
