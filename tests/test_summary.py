"""The last lines of a reconstruction."""

from __future__ import annotations

from pathlib import Path

from insaat_cli.photos import Photo, PhotoSet
from insaat_cli.reconstruction import Reconstruction
from insaat_cli.run_plan import RunResult, StageSummary
from insaat_cli.summary import summary_fields, summary_lines

ROOT = Path("/out/a\nb")
PHOTO = Photo(name="a", path=Path("a"), width=640, height=480, sha256="0")


def outcome(**metrics: object) -> Reconstruction:
    sparse = StageSummary(
        name="sparse", title="", status="done", metrics=metrics, degraded=("less of it",)
    )
    run = RunResult(
        workspace=ROOT,
        stages=(sparse,),
        results=(ROOT / "cloud.ply", ROOT / "model.glb"),
        seconds=75.0,
        peak_bytes=1_200_000_000,
        record=ROOT / "run.json",
    )
    photos = PhotoSet(used=(PHOTO, PHOTO, PHOTO))
    return Reconstruction(photos=photos, run=run, report=ROOT / "report.html")


def test_lines() -> None:
    assert summary_lines(outcome(registered=2)) == [
        "done in 1:15 min: 2 of 3 photos placed, peak memory 1.2 GB",
        "  1 setting lowered on the way, see the report",
        r"  model   /out/a\nb/model.glb",
        r"  report  /out/a\nb/report.html",
        "  also    cloud.ply",
    ]


def test_run_that_placed_no_cameras_does_not_speak_of_them() -> None:
    assert summary_lines(outcome())[0] == "done in 1:15 min: peak memory 1.2 GB"
    assert summary_fields(outcome())["registered"] is None


def test_fields() -> None:
    fields = summary_fields(outcome(registered=2))
    assert (fields["photos"], fields["registered"]) == (3, 2)
    assert fields["results"]["model.glb"] == str(ROOT / "model.glb")
