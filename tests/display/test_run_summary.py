"""The last lines of a reconstruction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from insaat_cli.display.run_summary import summary_fields, summary_lines, warning_lines
from insaat_cli.errors import ExitCode
from insaat_cli.photos.photo_set import LeftOut, Photo, PhotoSet
from insaat_cli.planning.run_plan import Figures
from insaat_cli.reconstruction.reconstruct import Reconstruction
from insaat_cli.runner.run_result import RunResult, StageSummary

ROOT = Path("/out/a\nb")
PHOTO = Photo(name="a", path=Path("a"), width=640, height=480, sha256="0")


def outcome(
    *degraded: str, left_out: tuple[LeftOut, ...] = (), strict: bool = False, **metrics: object
) -> Reconstruction:
    sparse = StageSummary(
        name="sparse", title="registering", status="done", metrics=metrics, degraded=degraded
    )
    run = RunResult(
        workspace=ROOT,
        stages=(sparse,),
        results=(ROOT / "cloud.ply", ROOT / "model.glb"),
        seconds=75.0,
        peak_bytes=1_200_000_000,
        record=ROOT / "run.json",
    )
    photos = PhotoSet(used=(PHOTO, PHOTO, PHOTO), left_out=left_out)
    return Reconstruction(photos=photos, run=run, report=ROOT / "report.html", strict=strict)


def test_lines() -> None:
    assert summary_lines(outcome(registered=2)) == [
        "done in 1:15 min: 2 of 3 photos registered, peak memory 1.2 GB",
        r"  model   /out/a\nb/model.glb",
        r"  report  /out/a\nb/report.html",
        "  also    cloud.ply",
        r"  next    insaat view '/out/a\nb'",
    ]


def test_a_run_without_a_model_does_not_offer_to_view_it() -> None:
    sparse = outcome(registered=2)
    sparse = replace(sparse, run=replace(sparse.run, results=(ROOT / "cloud.ply",)))
    assert not any("insaat view" in line for line in summary_lines(sparse))


def test_run_that_registered_no_cameras_does_not_speak_of_them() -> None:
    assert summary_lines(outcome())[0] == "done in 1:15 min: peak memory 1.2 GB"
    assert summary_fields(outcome())["registered"] is None


def test_fields() -> None:
    fields = summary_fields(outcome(registered=2))
    assert (fields["photos"], fields["registered"]) == (3, 2)
    assert fields["results"]["model.glb"] == str(ROOT / "model.glb")


def left_out(name: str, reason: str, *, is_photo: bool = True) -> LeftOut:
    return LeftOut(name=name, path=Path(name), reason=reason, is_photo=is_photo)


def test_what_is_missing_is_warned_of_first() -> None:
    lost = outcome(
        "less of it", left_out=(left_out("b.jpg", "truncated"),), registered=1, strict=True
    )
    assert warning_lines(lost) == [
        "warning: 2 of 3 photos could not be registered; the model is built from the other 1",
        "warning: 1 photo left out: b.jpg (truncated)",
        "warning: 1 setting reduced during the run, see the report",
    ]
    fields = summary_fields(lost)
    assert fields["complete"] is False
    assert (fields["unregistered"], fields["left_out"]) == (2, ["b.jpg (truncated)"])
    assert fields["degraded"] == ["registering: less of it"]
    assert len(fields["warnings"]) == 3


def test_a_photo_that_no_stage_could_decode_is_left_out_and_not_unregistered() -> None:
    cut = [{"name": "a", "reason": "cannot be decoded"}]
    lost = outcome(registered=2)
    assert lost.shortfall.unregistered == 1
    run = replace(
        lost.run,
        stages=(
            StageSummary(name="resize", title="", status="done", metrics={"left_out": cut}),
            *lost.run.stages,
        ),
    )
    decoded = replace(lost, run=run).shortfall
    assert (decoded.unregistered, decoded.left_out) == (0, ("a (cannot be decoded)",))


@pytest.mark.parametrize(
    "lost",
    [
        outcome("less", registered=3, strict=True),
        outcome(registered=2, strict=True),
        outcome(registered=3, left_out=(left_out("b.jpg", "empty file"),), strict=True),
    ],
)
def test_strict_makes_an_error_of_what_is_missing(lost: Reconstruction) -> None:
    assert lost.error is not None
    assert lost.error.code is ExitCode.DO_NOT_FIT
    assert replace(lost, strict=False).error is None
    assert replace(lost, report=None).error is None, "a dry run has lost nothing yet"


def test_strict_does_not_mind_what_is_no_photo() -> None:
    others = (left_out("notes.txt", "not an image", is_photo=False),)
    whole = outcome(registered=3, left_out=others, strict=True)
    assert (whole.error, warning_lines(whole)) == (None, [])
    assert summary_fields(whole)["complete"] is True


def test_a_run_that_found_everything_done() -> None:
    whole = outcome(registered=2)
    made = Figures(
        seconds=75.0, peak_bytes=1, run="r", started="2026-01-02T03:04:05+00:00", reused=True
    )
    again = replace(whole, run=replace(whole.run, reused=made, notes=("model.obj is old",)))
    lines = summary_lines(again)
    assert lines[0] == (
        "nothing to do: already done by the run of 2026-01-02 03:04 UTC in 1:15 min: "
        "2 of 3 photos registered, peak memory 1.2 GB"
    )
    assert lines[-1] == "  note: model.obj is old"
    fields = summary_fields(again)
    assert (fields["reused"], fields["notes"]) == (True, ["model.obj is old"])
    unknown = replace(again, run=replace(again.run, reused=replace(made, started="")))
    assert summary_lines(unknown)[0].startswith("nothing to do: already done by an earlier run")
    assert not summary_fields(whole)["reused"]
