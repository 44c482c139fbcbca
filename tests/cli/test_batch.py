"""Many photo sets: from folders, from a jobs file, from a folder of folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from insaat_cli.cli.app import run
from insaat_cli.errors import ExitCode

Capture = pytest.CaptureFixture[str]
Fake = Callable[..., str]


@pytest.fixture
def sets(photos: Path, tmp_path: Path) -> Path:
    """Three folders of photos, side by side; the one in the middle has too few."""
    folder = tmp_path / "sets"
    for name in ("a", "b", "c"):
        shutil.copytree(photos, folder / name)
    for photo in sorted((folder / "b").iterdir())[1:]:
        photo.unlink()
    return folder


def events_of(capture: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capture.readouterr().out.splitlines()]


def test_a_folder_of_folders(sets: Path, fake: Fake, capsys: Capture) -> None:
    command = ["batch", str(sets), "--pipeline", fake()]
    assert run(command) == ExitCode.PHOTOS, "the exit code is that of the worst"
    assert (sets / "a-3d" / "report.html").exists()
    assert (sets / "c-3d" / "out.txt").exists()
    out = capsys.readouterr().out
    assert "a: [1/2] doing first" in out
    assert "b: failed: " in out
    assert "2 models of 3 photo sets" in out
    assert run([*command, "--json"]) == ExitCode.PHOTOS, "earlier results are no photo sets"
    events = events_of(capsys)
    assert [e["set"] for e in events if e["event"] == "set_failed"] == ["b"]
    skipped = {(e["set"], e["stage"]) for e in events if e["event"] == "stage_skipped"}
    assert skipped == {("a", "first"), ("a", "last"), ("c", "first"), ("c", "last")}
    summary = events[-1]
    assert summary["event"] == "batch_summary"
    assert summary["code"] == 3
    assert [(one["set"], one["code"]) for one in summary["sets"]] == [("a", 0), ("b", 3), ("c", 0)]
    assert summary["sets"][0]["photos"] == 4


@pytest.mark.parametrize("command", ["batch", "reconstruct"])
def test_a_dry_run_shows_every_set_and_writes_nothing(
    sets: Path, fake: Fake, capsys: Capture, command: str
) -> None:
    sources = [str(sets)] if command == "batch" else [str(one) for one in sorted(sets.iterdir())]
    before = sorted(sets.rglob("*"))
    assert run([command, *sources, "--pipeline", fake(), "--dry-run"]) == ExitCode.PHOTOS
    captured = capsys.readouterr()
    assert [line for line in captured.out.splitlines() if line in ("a:", "b:", "c:")] == [
        "a:",
        "b:",
        "c:",
    ]
    assert captured.out.count("dry run: nothing was written") == 2
    assert "only 1 usable photo" in captured.err
    assert sorted(sets.rglob("*")) == before


def test_several_folders_are_several_sets_unless_together(
    sets: Path, fake: Fake, tmp_path: Path, capsys: Capture
) -> None:
    folders = [str(sets / "a"), str(sets / "c")]
    assert run(["reconstruct", *folders, "--pipeline", fake(), "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "a" / "out.txt").exists()
    assert (tmp_path / "out" / "c" / "out.txt").exists()
    for number, photo in enumerate(sorted((sets / "c").iterdir())):
        photo.write_bytes(photo.read_bytes() + bytes([number]))
    one = ["reconstruct", *folders, "--pipeline", fake(), "-o", str(tmp_path / "one"), "--together"]
    capsys.readouterr()
    assert run([*one, "--json"]) == 0
    assert events_of(capsys)[-1]["photos"] == 8
    mixed = ["reconstruct", folders[0], f"{folders[1]}/*.jpg", "--pipeline", fake(), "--dry-run"]
    assert run([*mixed, "--json"]) == 0
    assert events_of(capsys)[-1]["photos"] == 8


def test_a_dry_run_of_several_sets_writes_nothing(sets: Path, fake: Fake, capsys: Capture) -> None:
    before = sorted(sets.rglob("*"))
    folders = [str(sets / "a"), str(sets / "c")]
    assert run(["reconstruct", *folders, "--pipeline", fake(), "--dry-run"]) == 0
    assert sorted(sets.rglob("*")) == before
    assert "a:" in capsys.readouterr().out


def write_jobs(folder: Path, value: Any) -> str:
    path = folder / "jobs.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    return str(path)


def test_a_jobs_file(sets: Path, fake: Fake, capsys: Capture) -> None:
    jobs = {
        "defaults": {"pipeline": fake()},
        "jobs": [
            {"photos": "a", "name": "first", "output": "../models/one", "set": {"last.value": 7}},
            {"photos": ["a", "c"]},
            {"photos": "c", "output": "../models/three", "set": {"last.fault": "stage"}},
        ],
    }
    assert run(["batch", write_jobs(sets, jobs), "--json"]) == ExitCode.STAGE
    events = events_of(capsys)
    found = {one["set"]: one["code"] for one in events[-1]["sets"]}
    assert found == {"first": 0, "a": 0, "c": 5}
    assert "last(7)" in (sets.parent / "models" / "one" / "out.txt").read_text()
    assert (sets / "a-3d" / "out.txt").exists()
    assert "depth maps are empty" in (sets.parent / "models" / "three" / "report.html").read_text()


@pytest.mark.parametrize(
    ("jobs", "says"),
    [
        ([], "key: value"),
        ({"jobs": []}, "'jobs' must be a list"),
        ({"jobs": [{"photos": "a", "presett": "high"}]}, "unknown key 'presett'"),
        ({"jobs": [{"name": "a"}]}, "job 1 has no 'photos'"),
        ({"jobs": [{"photos": "a", "recursive": "perhaps"}]}, "invalid recursive: 'perhaps'"),
        ({"jobs": [{"photos": "a", "keep": "some"}]}, "invalid keep: 'some'"),
        ({"jobs": [{"photos": "a", "complete": "some"}]}, "invalid complete: 'some'"),
        ({"jobs": [{"photos": "a"}, {"photos": "a"}]}, "would both"),
        (
            {"jobs": [{"photos": "a", "name": "x"}, {"photos": "c", "name": "x"}]},
            "duplicate job name",
        ),
        ({"defaults": {"photos": "a"}, "jobs": [{"photos": "a"}]}, "unknown key 'photos'"),
        ({"jobs": ["a"]}, "job 1: expected"),
    ],
)
def test_a_wrong_jobs_file(sets: Path, jobs: Any, says: str, capsys: Capture) -> None:
    assert run(["batch", write_jobs(sets, jobs)]) == ExitCode.USAGE
    assert says in " ".join(capsys.readouterr().err.split())


def test_no_photo_sets(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    assert run(["batch", str(tmp_path / "empty")]) == ExitCode.USAGE
    assert "no folders of photos" in capsys.readouterr().err
    assert run(["batch", str(tmp_path / "missing.yaml")]) == ExitCode.USAGE
    (tmp_path / "bad.yaml").write_text("{")
    assert run(["batch", str(tmp_path / "bad.yaml")]) == ExitCode.USAGE


def test_quiet_says_only_what_failed(sets: Path, fake: Fake, capsys: Capture) -> None:
    assert run(["batch", str(sets), "--pipeline", fake(), "-q"]) == ExitCode.PHOTOS
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("insaat: ") == 1


def test_keep_result_leaves_no_intermediate_files(photos: Path, fake: Fake, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = ["reconstruct", str(photos), "-o", str(output), "--pipeline", fake()]
    assert run([*command, "--keep", "result", "-q"]) == 0
    assert list((output / "stages").iterdir()) == []
    assert (output / "out.txt").exists()
    assert (output / "report.html").exists()
    assert run([*command, "-q"]) == 0
    assert len(list((output / "stages").iterdir())) == 2


def test_strict_is_of_each_set(sets: Path, fake: Fake, capsys: Capture) -> None:
    shutil.rmtree(sets / "b")
    whole = (sets / "c" / "IMG_0.jpg").read_bytes()
    (sets / "c" / "IMG_9.jpg").write_bytes(whole[: len(whole) // 2])
    command = ["batch", str(sets), "--pipeline", fake()]
    assert run(command) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "c: warning: 1 photo left out: IMG_9.jpg" in out
    assert "a: warning" not in out
    assert run([*command, "--strict"]) == ExitCode.DO_NOT_FIT
    assert "incomplete (7)" in capsys.readouterr().out
    assert (sets / "c-3d" / "out.txt").exists()
    assert run([*command, "--strict", "--json"]) == ExitCode.DO_NOT_FIT
    ended = {e["set"]: e for e in events_of(capsys) if e["event"] == "set_done"}
    assert {name: one["code"] for name, one in ended.items()} == {"a": 0, "c": 7}
    assert [ended[name]["complete"] for name in "ac"] == [True, False]
    jobs = sets / "jobs.yaml"
    jobs.write_text(yaml.safe_dump({"jobs": [{"photos": "c", "strict": True}]}))
    assert run(["batch", str(jobs), "--pipeline", fake()]) == ExitCode.DO_NOT_FIT
