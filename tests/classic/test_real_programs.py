"""Both pipelines with the real OpenMVG and OpenMVS, where they are installed.

No package registry has them, so these tests are skipped elsewhere, under CI too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import trimesh

from fakes.mvs_options import OPENMVS
from fakes.pipelines import Heard
from insaat_cli.classic.programs import locate
from insaat_cli.pipeline_file import find_pipeline
from insaat_cli.reconstruction import ReconstructionOptions, reconstruct

PHOTOS = 5
SMALL = (
    "resize.max_side=960",
    "dense.resolution_level=0",
    "dense.max_resolution=480",
    "dense.min_resolution=200",
    "dense.iters=1",
    "dense.geometric_iters=0",
    "dense.number_views_fuse=2",
)


def need(*programs: str) -> None:
    absent = [program for program in programs if locate(program) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)}: not installed, and no package registry has them")


@pytest.mark.parametrize("program", OPENMVS)
def test_the_table_of_options_is_that_of_the_program(program: str, tmp_path: Path) -> None:
    need(program)
    # 2.3.0 ends with status 1 after its help.
    said = subprocess.run(
        [str(locate(program)), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    ).stdout
    assert [option for option in OPENMVS[program] if f"--{option} " not in said] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openmvg-openmvs", "colmap-openmvs"])
def test_photos_of_a_castle(name: str, shared_data: Path, tmp_path: Path) -> None:
    need(*(requirement.program for requirement in find_pipeline(name).requires))
    photos, output = tmp_path / "photos", tmp_path / "the castle's model \N{GREEK SMALL LETTER PI}"
    photos.mkdir()
    for photo in sorted((shared_data / "sceaux").glob("*.JPG"))[:PHOTOS]:
        shutil.copy(photo, photos)
    options = ReconstructionOptions(
        sources=(photos,), output=output, pipeline=name, preset="draft", settings=SMALL
    )
    reconstruct(options, Heard())
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    metrics = {stage["name"]: stage["metrics"] for stage in record["stages"]}
    assert metrics["sparse"]["registered"] == PHOTOS
    assert metrics["sparse"]["reprojection_error_px"] < 1.0
    assert metrics["dense"]["points"] > 10_000
    assert metrics["texture"]["textured_share"] > 0.9
    mesh = trimesh.load(output / "model.glb", process=False).to_geometry()
    width, height, _ = mesh.extents
    assert 1.2 * height < width < 4 * height, "a castle is wider than it is high, and stands"
