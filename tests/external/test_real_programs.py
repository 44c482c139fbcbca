"""Both pipelines with the real OpenMVG and OpenMVS, where they are installed.

No package registry has them, so these tests are skipped elsewhere, under CI too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree
from tests.fakes.mvs_options import OPENMVS
from tests.fakes.pipelines import Heard

from insaat_cli.external.openmvs_cloud import read_mvs_cloud
from insaat_cli.external.programs import locate
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.reconstruction.options import ReconstructionOptions
from insaat_cli.reconstruction.reconstruct import reconstruct
from insaat_cli.stages.openmvs_dense import DENSE_CLOUD

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
@pytest.mark.parametrize(
    ("name", "refined"), [("openmvg-openmvs", False), ("colmap-openmvs", True)]
)
def test_photos_of_a_castle(name: str, refined: bool, shared_data: Path, tmp_path: Path) -> None:
    need(*(requirement.program for requirement in find_pipeline(name).requires))
    photos, output = tmp_path / "photos", tmp_path / "the castle's model \N{GREEK SMALL LETTER PI}"
    photos.mkdir()
    for photo in sorted((shared_data / "sceaux").glob("*.JPG"))[:PHOTOS]:
        shutil.copy(photo, photos)
    settings = (*SMALL, f"refine.enabled={str(refined).lower()}")
    options = ReconstructionOptions(
        sources=(photos,), output=output, pipeline=name, preset="draft", settings=settings
    )
    reconstruct(options, Heard())
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    metrics = {stage["name"]: stage["metrics"] for stage in record["stages"]}
    assert metrics["sparse"]["registered"] == PHOTOS
    assert metrics["sparse"]["reprojection_error_px"] < 1.0
    assert metrics["dense"]["points"] > 10_000
    assert metrics["refine"]["refined"] == refined
    assert metrics["texture"]["textured_share"] > 0.9
    mesh = trimesh.load(output / "model.glb", process=False).to_geometry()
    width, height, _ = mesh.extents
    assert 1.2 * height < width < 4 * height, "a castle is wider than it is high, and stands"


@pytest.mark.slow
def test_sub_scenes_of_a_castle_make_the_same_cloud(shared_data: Path, tmp_path: Path) -> None:
    need(*(requirement.program for requirement in find_pipeline("colmap-openmvs").requires))
    photos = tmp_path / "photos"
    photos.mkdir()
    for photo in sorted((shared_data / "sceaux").glob("*.JPG"))[:PHOTOS]:
        shutil.copy(photo, photos)
    clouds, faces = [], []
    for parts in (0, 2):
        options = ReconstructionOptions(
            sources=(photos,),
            output=tmp_path / "out",
            pipeline="colmap-openmvs",
            preset="draft",
            settings=(*SMALL, f"dense.sub_scenes={parts}"),
            until_stage="surface",
        )
        reconstruct(options, Heard())
        record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
        metrics = {stage["name"]: stage["metrics"] for stage in record["stages"]}
        assert (metrics["dense"]["sub_scenes"] > 1) == (parts > 1)
        faces.append(metrics["surface"]["faces"])
        clouds.append(read_mvs_cloud(tmp_path / "out" / "stages" / "dense" / DENSE_CLOUD).points)
    whole, joined = clouds
    # PatchMatch starts at random: no two runs give the same points.
    assert 0.9 < len(joined) / len(whole) < 1.1
    size = np.ptp(np.percentile(whole, [5, 95], axis=0), axis=0).max()
    distances, _ = cKDTree(whole).query(joined)
    assert np.percentile(distances, 90) < 0.01 * size
    assert 0.8 < faces[1] / faces[0] < 1.25
