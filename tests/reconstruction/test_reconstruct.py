"""Where results go and what is never taken for a photo."""

from __future__ import annotations

from pathlib import Path

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.planning.run_plan import foreseen_results
from insaat_cli.reconstruction.options import ReconstructionOptions, default_output
from insaat_cli.reconstruction.reconstruct import chosen_pipeline


def test_default_output_is_beside_the_photos(tmp_path: Path) -> None:
    photos = tmp_path / "trip"
    (photos / "day1").mkdir(parents=True)
    (photos / "a.jpg").touch()
    beside = tmp_path / "trip-3d"
    assert default_output((photos,)) == beside
    assert default_output((photos / "a.jpg", photos / "b.jpg")) == beside
    assert default_output((photos / "*.jpg",)) == beside
    assert default_output((photos / "day*" / "*.jpg",)) == beside
    assert default_output((photos / "day1" / "..",)) == beside
    assert default_output((Path("/"),)) == Path("/photos-3d")


def test_auto_is_the_embedded_pipeline() -> None:
    options = ReconstructionOptions(sources=(Path("x"),), settings=("resize.max_side=999",))
    pipeline = chosen_pipeline(options)
    assert pipeline.name == "embedded"
    assert pipeline.stage("resize").params["max_side"] == 999


def test_preset_changes_settings_and_settings_win() -> None:
    options = ReconstructionOptions(
        sources=(Path("x"),), preset="draft", settings=("dense.max_side=555",)
    )
    pipeline = chosen_pipeline(options)
    normal = chosen_pipeline(ReconstructionOptions(sources=(Path("x"),)))
    assert pipeline.stage("dense").params["max_side"] == 555
    assert pipeline.stage("resize").params["max_side"] < normal.stage("resize").params["max_side"]  # type: ignore[operator]


def test_formats_reach_the_export_stage() -> None:
    options = ReconstructionOptions(sources=(Path("x"),), formats=("obj", "ply", "obj"))
    assert chosen_pipeline(options).stage("export").params["formats"] == "glb,obj,ply"


def test_unknown_format() -> None:
    with pytest.raises(UsageError, match="docx"):
        chosen_pipeline(ReconstructionOptions(sources=(Path("x"),), formats=("docx",)))


def test_the_names_of_results_are_known_before_the_run() -> None:
    options = ReconstructionOptions(sources=(Path("x"),), formats=("obj", "stl"))
    expected = {"model.glb", "cloud.ply", "cameras.json", "preview.png", "model.obj", "model.mtl"}
    names = foreseen_results(chosen_pipeline(options))
    assert set(names) == expected | {"model.jpg", "model.stl"}
