"""Expectations: what a stage must leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from insaat_cli.errors import Fault, InsaatError, PhotosError, StageError
from insaat_cli.pipeline.definition import Expectation, Stage
from insaat_cli.runner.output_checks import check_outputs, read_metrics


def stage(*expect: Expectation, outputs: tuple[str, ...] = ()) -> Stage:
    return Stage(name="s", title="doing it", run="m", outputs=outputs, expect=expect)


def problem(folder: Path, what: Stage, metrics: dict[str, object] | None = None) -> InsaatError:
    with pytest.raises(InsaatError) as caught:
        check_outputs(what, folder, metrics or {})
    return caught.value


def test_outputs_must_be_there_and_not_empty(tmp_path: Path) -> None:
    what = stage(outputs=("images/", "model.glb"))
    assert "images/" in problem(tmp_path, what).message
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    assert "images/" in problem(tmp_path, what).message
    (tmp_path / "images" / "b.jpg").write_bytes(b"x")
    assert "model.glb" in problem(tmp_path, what).message
    (tmp_path / "model.glb").write_bytes(b"x")
    check_outputs(what, tmp_path, {})


def test_metrics_have_bounds(tmp_path: Path) -> None:
    photos = Expectation(metric="photos_used", minimum=3, fault=Fault.PHOTOS, hint="take more")
    error = problem(tmp_path, stage(photos), {"photos_used": 2})
    assert isinstance(error, PhotosError)
    assert (error.message, error.hint) == (
        "doing it: photos used: 2, at least 3 needed",
        "take more",
    )
    check_outputs(stage(photos), tmp_path, {"photos_used": 3})
    low = stage(Expectation(metric="error_px", maximum=1.0))
    assert "at most 1" in problem(tmp_path, low, {"error_px": 1.5}).message
    for nothing in (
        {},
        {"error_px": float("nan")},
        {"error_px": "low"},
        {"error_px": True},
        {"error_px": None},
    ):
        assert "error px was not reported" in problem(tmp_path, low, dict(nothing)).message


def test_files_have_sizes(tmp_path: Path) -> None:
    what = stage(Expectation(file="scene.mvs", minimum=10))
    assert "scene.mvs (bytes): 0" in problem(tmp_path, what).message
    (tmp_path / "scene.mvs").write_bytes(b"x" * 9)
    assert "9, at least 10" in problem(tmp_path, what).message
    (tmp_path / "scene.mvs").write_bytes(b"x" * 10)
    check_outputs(what, tmp_path, {})


def test_metrics_that_cannot_be_read(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == {}
    (tmp_path / "result.json").write_text("[1]")
    assert read_metrics(tmp_path) == {}
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(StageError):
        read_metrics(tmp_path)
