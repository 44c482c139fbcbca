"""A setting outside of its range is refused at every way in, before any work: exit code 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from insaat_cli.cli.app import run
from insaat_cli.errors import ExitCode

Capture = pytest.CaptureFixture[str]
RANGE = "dense.max_side is -5; it must be a whole number from 64 to 5000 px"
WRONG = ["--set", "dense.max_side=-5"]


def said(capture: Capture) -> str:
    return " ".join(capture.readouterr().err.split())


@pytest.mark.parametrize(
    "command",
    [
        ["reconstruct", "PHOTOS"],
        ["reconstruct", "PHOTOS", "--dry-run"],
        ["reconstruct", "PHOTOS", "OTHERS"],
        ["plan", "PHOTOS"],
        ["batch", "PHOTOS"],
        ["submit", "PHOTOS", "--remote", "QUEUE"],
    ],
    ids=" ".join,
)
def test_every_command_refuses_it_and_writes_nothing(
    command: list[str], photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    others = shutil.copytree(photos, tmp_path / "others")
    places = {"PHOTOS": str(photos), "OTHERS": str(others), "QUEUE": str(tmp_path / "queue")}
    if command[0] == "batch":
        places["PHOTOS"] = str(photos.parent)
    before = sorted(photos.parent.rglob("*"))
    assert run([*(places.get(word, word) for word in command), *WRONG]) == ExitCode.USAGE
    assert RANGE in said(capsys)
    made = [path for path in sorted(photos.parent.rglob("*")) if path not in before]
    assert [path for path in made if not path.is_relative_to(tmp_path / "queue")] == []
    assert not [path for path in made if path.is_file()]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("dense.max_side=64.5", "a whole number from 64 to 5000 px"),
        ("dense.max_side=99999", "dense.max_side is 99999;"),
        ("dense.max_side=null", "dense.max_side is 'null';"),
        ("dense.max_cost=nan", "dense.max_cost is nan; it must be a number from 0.1 to 1.5"),
        ("dense.stereo=cudda", "auto, own or cuda"),
        ("dense.stereo=cudda", "did you mean cuda?"),
        ("matching.backend=pycolmap", "did you mean PYCOLMAP?"),
        ("texture.levelling=perhaps", "true or false"),
        ("export.formats=glb,docx", "one or more of glb, obj, ply, stl"),
        ("fuse.roi=0,0,0,0,0,0", "auto, off or xmin,ymin,zmin,xmax,ymax,zmax"),
    ],
)
def test_what_it_says(setting: str, says: str, photos: Path, capsys: Capture) -> None:
    assert run(["reconstruct", str(photos), "--dry-run", "--set", setting]) == ExitCode.USAGE
    assert says in said(capsys)


def test_a_jobs_file_is_refused_before_its_first_job(
    photos: Path, fake: Callable[..., str], tmp_path: Path, capsys: Capture
) -> None:
    jobs = {
        "jobs": [
            {"photos": str(photos), "name": "good", "pipeline": fake(), "output": "good"},
            {"photos": str(photos), "name": "bad", "output": "bad", "set": {"fuse.views": 0}},
        ]
    }
    path = tmp_path / "jobs.yaml"
    path.write_text(yaml.safe_dump(jobs), encoding="utf-8")
    assert run(["batch", str(path)]) == ExitCode.USAGE
    assert "bad: fuse.views is 0; it must be a whole number from 1 to 32" in said(capsys)
    assert not (tmp_path / "good").exists()


def test_json_has_the_message(photos: Path, capsys: Capture) -> None:
    assert run(["reconstruct", str(photos), "--json", *WRONG]) == ExitCode.USAGE
    error = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (error["event"], error["code"]) == ("error", 2)
    assert error["message"].startswith(RANGE)


def test_a_ladder_below_the_range_stops_at_its_end(photos: Path, capsys: Capture) -> None:
    """`* 0.7` of the smallest size would be below it."""
    command = ["plan", str(photos), "--set", "dense.max_side=64", "--max-memory", "150M", "--json"]
    assert run(command) == ExitCode.DONE
    told = capsys.readouterr().out
    assert '"max_side": 45' not in told
    assert '"max_side": 32' not in told
