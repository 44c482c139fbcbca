"""Paths of every kind, for all that takes one: an error in words, never a bug."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from insaat_cli.cli import app as app_module
from insaat_cli.cli.app import run
from insaat_cli.errors import ExitCode

Capture = pytest.CaptureFixture[str]
Fake = Callable[..., str]
LONG = "x" * 300
USAGE, STORE, PHOTOS = ExitCode.USAGE, ExitCode.STORE, ExitCode.PHOTOS
BAD_FOLDERS = ("file", "file/in", "link", LONG, "")


@pytest.fixture
def here(photos: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: `my photos`, `fake.yaml`, an empty `file`, a `link` to nothing, a
    `model.ply` and a `jobs.yaml`."""
    folder = photos.parent
    (folder / "file").touch()
    (folder / "link").symlink_to("nowhere")
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    faces = "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (folder / "model.ply").write_text(
        f"{header}property float z\n{faces}0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", encoding="utf-8"
    )
    fake()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setattr(app_module, "_write_bug_log", lambda *_: Path("bug.log"))
    return folder


def refused(capsys: Capture, *arguments: str) -> int:
    """The exit code of a command that must end with an error in words."""
    code = run(arguments)
    errors = capsys.readouterr().err
    assert code, "it took what it cannot use"
    assert "bug in insaat" not in errors and "Traceback" not in errors, errors
    assert errors
    return code


@pytest.mark.parametrize("path", BAD_FOLDERS)
@pytest.mark.parametrize(
    "command",
    [
        ["reconstruct", "my photos", "--pipeline", "fake.yaml", "-o"],
        ["reconstruct", "my photos", "--dry-run", "--masks"],
        ["export", "model.ply", "-o"],
        ["demo", "-o"],
        ["worker", "--remote", "queue", "--once", "--work-folder"],
    ],
    ids=lambda command: f"{command[0]} {command[-1]}",
)
def test_folder_that_cannot_be_one(
    here: Path, capsys: Capture, command: list[str], path: str
) -> None:
    assert refused(capsys, *command, path) == USAGE
    assert not (here / "model.glb").exists(), "an empty path is not the current folder"


@pytest.mark.parametrize("path", [*BAD_FOLDERS, "missing"])
@pytest.mark.parametrize(
    "command",
    [["reconstruct"], ["check"], ["plan"], ["batch"], ["view"], ["export"], ["frames"]],
    ids=lambda command: command[0],
)
def test_source_that_cannot_be_one(
    here: Path, capsys: Capture, command: list[str], path: str
) -> None:
    assert refused(capsys, *command, path) in (USAGE, PHOTOS)


@pytest.mark.parametrize("path", ["missing.yaml", ".", "./file", "file/in.yaml", f"{LONG}.yaml"])
def test_pipeline_file_that_cannot_be_one(here: Path, capsys: Capture, path: str) -> None:
    assert refused(capsys, "reconstruct", "my photos", "--pipeline", path) == USAGE
    assert refused(capsys, "pipelines", "check", path) == USAGE
    assert refused(capsys, "worker", "--allow-pipeline", path, "--remote", "queue") == USAGE


@pytest.mark.parametrize("path", ["file", "file/in", "link", LONG])
def test_store_that_cannot_be_one(here: Path, capsys: Capture, path: str) -> None:
    assert refused(capsys, "jobs", "--remote", path) == STORE


def test_settings_and_history_that_cannot_be_written(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "file")
    assert refused(capsys, "config", "region", "eu-west-1") == USAGE
    monkeypatch.setenv("INSAAT_STATE_DIR", "file")
    assert refused(capsys, "history", "clear") == USAGE


@pytest.mark.parametrize(
    "job",
    [{"photos": "a\0b"}, {"photos": ""}, {"photos": "my photos", "output": "a\0b"},
     {"photos": "my photos", "masks": "a\0b"}, {"photos": "my photos", "pipeline": "a\0/b.yaml"},
     {"photos": "my photos", "masks": LONG}, {"photos": LONG}],
)  # fmt: skip
def test_jobs_with_paths_that_cannot_be_one(here: Path, capsys: Capture, job: object) -> None:
    (here / "jobs.yaml").write_text(yaml.safe_dump({"jobs": [job]}), encoding="utf-8")
    code = run(["batch", "jobs.yaml", "--json"])
    shown = capsys.readouterr()
    assert code == USAGE
    assert "bug in insaat" not in shown.err


def test_all_paths_of_a_jobs_file_are_relative_to_it(here: Path, capsys: Capture) -> None:
    (here / "in").mkdir()
    job = {"photos": "../my photos", "pipeline": "../fake.yaml", "output": "../made"}
    (here / "in" / "jobs.yaml").write_text(yaml.safe_dump({"jobs": [job]}), encoding="utf-8")
    assert run(["batch", "in/jobs.yaml", "-q"]) == ExitCode.DONE
    assert (here / "made" / "out.txt").is_file()


def test_current_folder_that_is_gone(here: Path, capsys: Capture) -> None:
    gone = here / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert refused(capsys, "reconstruct", "photos") == USAGE
    output = str(here / "made")
    given = [str(here / "my photos"), "-o", output, "--pipeline", str(here / "fake.yaml")]
    assert run(["reconstruct", *given, "-q"]) == ExitCode.DONE, "nothing of it is relative"


def test_bug_is_told_in_full_where_no_log_can_be_written(
    photos: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_folder(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("tempfile.mkstemp", no_folder)
    monkeypatch.setattr("insaat_cli.reconstruction.reconstruct.reconstruct", broken)
    assert run(["reconstruct", str(photos), "--json"]) == app_module.UNEXPECTED
    captured = capsys.readouterr()
    assert json.loads(captured.out)["log"] is None
    assert "in broken" in captured.err
