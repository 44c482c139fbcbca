"""`--complete off` from options and jobs files down to the pipeline that runs."""

from __future__ import annotations

from pathlib import Path

from insaat_cli.pipeline.completion import Completion
from insaat_cli.reconstruction.jobs_file import read_jobs
from insaat_cli.reconstruction.options import ReconstructionOptions
from insaat_cli.reconstruction.reconstruct import chosen_pipeline


def close_levels(options: ReconstructionOptions) -> object:
    return chosen_pipeline(options).stage("surface").params["close_levels"]


def test_without_completion_nothing_is_closed() -> None:
    options = ReconstructionOptions(sources=(Path("a"),), settings=("surface.close_levels=3",))
    assert close_levels(options) == 3
    off = ReconstructionOptions(sources=(Path("a"),), complete=Completion.OFF)
    assert close_levels(off) == 0


def test_a_jobs_file_says_it_as_yaml_reads_it(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text("jobs: [{photos: a, complete: off}, {photos: b, complete: 'on'}]")
    sets = read_jobs(jobs, ReconstructionOptions(sources=()), None)
    assert [one.complete for one in sets.values()] == [Completion.OFF, Completion.ON]
    assert close_levels(sets["a"]) == 0
