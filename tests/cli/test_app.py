"""Whole command lines: exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from insaat_cli import __version__
from insaat_cli.cli import app as app_module
from insaat_cli.cli.app import run
from insaat_cli.cli.commands import COMMANDS
from insaat_cli.errors import ExitCode
from insaat_cli.workspace.workspace import Workspace

Capture = pytest.CaptureFixture[str]
Fake = Callable[..., str]


def lines_of(capture: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capture.readouterr().out.splitlines()]


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(option: str, capsys: Capture) -> None:
    assert run([option]) == ExitCode.DONE
    assert capsys.readouterr().out == f"insaat {__version__}\n"


def test_no_arguments_show_help_with_an_example(capsys: Capture) -> None:
    assert run([]) == ExitCode.DONE
    assert "insaat reconstruct ./photos" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["export"], ["pipelines", "show"]])
def test_help_is_a_command_as_well(command: list[str], capsys: Capture) -> None:
    assert run([*command, "--help"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert run(["help", *command]) == ExitCode.DONE
    assert capsys.readouterr().out == shown != ""


@pytest.mark.parametrize("command", sorted(entry.name for entry in COMMANDS))
def test_help_is_whole_and_plain(
    command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns, without words cut off and without types of flags."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run([command, "--help"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "Usage:" in shown
    assert re.findall(r"\w…|<bool>", shown) == []


def test_help_on_a_command_that_is_not_there(capsys: Capture) -> None:
    assert run(["help", "nonsense"]) == ExitCode.USAGE
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["reconstruct"], ["reconstruct", "--nonsense"], ["nonsense"], ["--nonsense"]]
)
def test_usage_errors_exit_with_2(arguments: list[str], capsys: Capture) -> None:
    assert run(arguments) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["reconstruct", "--json"],
        ["reconstruct", "photos", "--threads", "many", "--json"],
        ["reconstruct", "photos", "--nonsense", "--json"],
        ["batch", "--json"],
        ["status", "--json"],
        ["pipelines", "show", "--json"],
        ["nonsense", "--json"],
        ["--json"],
    ],
)
def test_usage_errors_under_json_are_one_object(arguments: list[str], capsys: Capture) -> None:
    assert run(arguments) == ExitCode.USAGE
    captured = capsys.readouterr()
    [line] = captured.out.splitlines()
    error = json.loads(line)
    assert (error["event"], error["code"], error["kind"]) == ("error", 2, "UsageError")
    assert error["hint"].startswith("insaat ") and error["hint"].endswith("--help")
    assert error["message"] in captured.err and "\n" not in error["message"]
    assert set(error) == {"time", "event", "code", "kind", "message", "stage", "hint", "log"}


def test_file_named_like_the_option_asks_for_no_json(capsys: Capture) -> None:
    assert run(["reconstruct", "--nonsense", "--", "--json"]) == ExitCode.USAGE
    assert capsys.readouterr().out == ""


def test_reconstruct_ends_with_results_beside_the_photos(
    photos: Path, fake: Fake, capsys: Capture
) -> None:
    assert run(["reconstruct", str(photos), "--pipeline", fake()]) == ExitCode.DONE
    output = photos.with_name("my photos-3d")
    assert (output / "out.txt").exists()
    assert (output / "report.html").exists()
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "[1/2] doing first: done in" in captured.out
    assert str(output / "report.html") in captured.out
    assert "\x1b" not in captured.out


def test_second_run_keeps_the_stages_and_takes_no_result_for_a_photo(
    photos: Path, fake: Fake, capsys: Capture
) -> None:
    output = photos / "out"
    command = ["reconstruct", str(photos), "-o", str(output), "--pipeline", fake(), "-r", "--json"]
    assert run(command) == ExitCode.DONE
    (output / "preview.png").write_bytes((photos / "IMG_0.jpg").read_bytes() + b"other")
    capsys.readouterr()
    assert run(command) == ExitCode.DONE
    events = lines_of(capsys)
    assert [event["stage"] for event in events if event["event"] == "stage_skipped"] == [
        "first",
        "last",
    ]
    assert (events[0]["event"], events[0]["used"], events[0]["left_out"]) == ("photos_found", 4, {})


def test_json_is_alone_on_stdout_and_ends_with_the_summary(
    photos: Path, fake: Fake, capfd: Capture
) -> None:
    (photos / "not a\nphoto.jpg").write_text("text", encoding="utf-8")
    assert run(["reconstruct", str(photos), "--pipeline", fake(), "--json"]) == ExitCode.DONE
    events = lines_of(capfd)
    assert list(events[0]["left_out"]) == ["not a\nphoto.jpg"]
    kinds = [event["event"] for event in events]
    assert {"run_started", "stage_started", "stage_finished", "run_finished"} <= set(kinds)
    assert kinds[-1] == "summary"
    assert events[-1]["photos"] == 4
    assert Path(events[-1]["report"]).is_file()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("stage", ExitCode.STAGE),
        ("exit", ExitCode.STAGE),
        ("memory", ExitCode.MEMORY),
        ("do_not_fit", ExitCode.DO_NOT_FIT),
    ],
)
def test_faults_of_a_stage_have_their_exit_codes(
    photos: Path, fake: Fake, capsys: Capture, fault: str, code: ExitCode
) -> None:
    command = ["reconstruct", str(photos), "--pipeline", fake(fault=fault)]
    assert run([*command, "--json"]) == code
    captured = capsys.readouterr()
    error = json.loads(captured.out.splitlines()[-1])
    assert (error["event"], error["code"], error["stage"]) == ("error", code, "last")
    assert "(stage last)" in captured.err
    assert error["message"].splitlines()[0] in captured.err
    assert "Traceback" not in captured.err
    assert Path(error["log"]).is_file()
    report = photos.with_name("my photos-3d") / "report.html"
    assert "did not finish in stage last" in report.read_text(encoding="utf-8")


def test_quiet_says_nothing_but_errors(photos: Path, fake: Fake, capsys: Capture) -> None:
    assert run(["reconstruct", str(photos), "--pipeline", fake(), "-q"]) == ExitCode.DONE
    assert capsys.readouterr() == ("", "")
    assert run(["reconstruct", str(photos / "no"), "-q"]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "file or folder not found:" in captured.err


def test_too_few_photos(photos: Path, capsys: Capture) -> None:
    for name in ("IMG_0.jpg", "IMG_1.jpg"):
        (photos / name).write_text("text", encoding="utf-8")
    assert run(["reconstruct", str(photos)]) == ExitCode.PHOTOS
    captured = capsys.readouterr()
    assert "only 2 usable photos" in captured.err
    assert "IMG_0.jpg and 1 other: not an image" in captured.err
    assert not photos.with_name("my photos-3d").exists()


def test_dry_run_writes_nothing(photos: Path, fake: Fake, capsys: Capture) -> None:
    command = ["reconstruct", str(photos), "--pipeline", fake(), "--dry-run"]
    assert run(command) == ExitCode.DONE
    assert not photos.with_name("my photos-3d").exists()
    assert "would go to" in capsys.readouterr().out


def test_a_dry_run_refuses_what_a_run_would(photos: Path, fake: Fake, capsys: Capture) -> None:
    """Never without --dry-run: a run that did not refuse would write there."""
    command = ["reconstruct", str(photos), "--pipeline", fake(), "--dry-run"]
    assert run([*command, "-o", "/"]) == ExitCode.USAGE
    assert "root of the file system" in capsys.readouterr().err
    assert run([*command, "-o", str(photos / "IMG_0.jpg")]) == ExitCode.USAGE
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_no_results_over_files_of_others(
    photos: Path, fake: Fake, capsys: Capture, dry: list[str]
) -> None:
    output = photos.with_name("site")
    play = output / "stages" / "myplay" / "act1.txt"
    play.parent.mkdir(parents=True)
    play.write_text("to be")
    (output / "report.html").write_text("my page")
    command = ["reconstruct", str(photos), "--pipeline", fake(), *dry]
    assert run([*command, "-o", str(output), "--keep", "result"]) == ExitCode.USAGE
    shown = capsys.readouterr().err
    assert "report.html, which insaat reconstruct did not make" in shown
    assert "--overwrite" in shown
    assert (output / "report.html").read_text() == "my page"
    again = [*command, "-o", str(output), "--keep", "result", "--overwrite"]
    assert run(again) == ExitCode.DONE
    assert play.read_text() == "to be"
    assert (output / "report.html").read_text().startswith("my page" if dry else "<!doctype")
    assert [path.name for path in (output / "stages").iterdir()] == ["myplay"]


def test_a_run_that_never_began_leaves_the_report_of_the_other(
    photos: Path, fake: Fake, capsys: Capture
) -> None:
    command = ["reconstruct", str(photos), "--pipeline", fake()]
    output = photos.with_name("my photos-3d")
    assert run(command) == ExitCode.DONE
    before = (output / "report.html").stat().st_mtime_ns
    with Workspace(output).locked():
        assert run([*command, "--set", "last.value=3"]) == ExitCode.USAGE
    assert "another run" in capsys.readouterr().err
    assert (output / "report.html").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "extra",
    [
        ["--set", "last.nothing=1"],
        ["--set", "nonsense"],
        ["--max-memory", "much"],
        ["--preset", "heigh"],
        ["--from", "nowhere"],
        ["--format", "docx"],
        ["--format", "obj"],  # the fake pipeline cannot
    ],
)
def test_wrong_values_are_usage_errors(
    photos: Path, fake: Fake, capsys: Capture, extra: list[str]
) -> None:
    assert run(["reconstruct", str(photos), "--pipeline", fake(), *extra]) == ExitCode.USAGE
    assert "  try: " in capsys.readouterr().err
    assert not (photos.with_name("my photos-3d") / "run.json").exists()


def test_settings_and_budget_arrive(
    photos: Path, fake: Fake, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSAAT_MAX_MEMORY", "1500M")
    command = ["reconstruct", str(photos), "--pipeline", fake(), "--set", "last.value=7"]
    assert run([*command, "--threads", "1", "--json"]) == ExitCode.DONE
    events = lines_of(capsys)
    started = next(event for event in events if event["event"] == "run_started")
    assert (started["memory_budget_bytes"], started["threads"]) == (1_500_000_000, 1)
    output = photos.with_name("my photos-3d")
    assert "last(7)" in (output / "out.txt").read_text(encoding="utf-8")


def test_output_folder_cannot_be_the_photo_folder(photos: Path, capsys: Capture) -> None:
    assert run(["reconstruct", str(photos), "-o", str(photos)]) == ExitCode.USAGE
    assert "is also the photo folder" in capsys.readouterr().err


def test_output_that_is_a_file(photos: Path, fake: Fake, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "taken"
    target.touch()
    command = ["reconstruct", str(photos), "--pipeline", fake(), "-o", str(target)]
    assert run(command) == ExitCode.USAGE
    assert "is a file" in capsys.readouterr().err


def test_bug_is_short_and_leaves_its_trace_in_a_file(
    photos: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("insaat_cli.reconstruction.reconstruct.reconstruct", broken)
    assert run(["reconstruct", str(photos)]) == app_module.UNEXPECTED
    message = capsys.readouterr().err
    assert "this is a bug" in message
    assert "Traceback" not in message
    log = Path(message.split("with the file ")[1].strip())
    assert "in broken" in log.read_text(encoding="utf-8")
    log.unlink()
    assert run(["reconstruct", str(photos), "-v"]) == app_module.UNEXPECTED
    message = capsys.readouterr().err
    assert "in broken" in message
    Path(message.split("with the file ")[1].splitlines()[0]).unlink()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_run_and_the_same_command_finishes_it(
    photos: Path, fake: Fake, number: signal.Signals
) -> None:
    arguments = ["reconstruct", str(photos), "--json", "--pipeline"]
    command = [sys.executable, "-c", "from insaat_cli.cli.app import main; main()", *arguments]
    running = subprocess.Popen(
        [*command, fake(sleep=30)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout
    for line in running.stdout:
        event = json.loads(line)
        if event["event"] == "stage_progress" and event["stage"] == "last":
            break
    os.kill(running.pid, number)
    started = time.monotonic()
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 128 + number
    assert time.monotonic() - started < 10
    assert "run the same command again" in errors
    assert run([*arguments, fake()]) == ExitCode.DONE


def with_a_photo_cut_short(photos: Path) -> Path:
    whole = (photos / "IMG_0.jpg").read_bytes()
    (photos / "IMG_9.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "notes.txt").write_text("of the day")
    return photos


def test_a_lost_photo_is_warned_of_above_the_results(
    photos: Path, fake: Fake, capsys: Capture
) -> None:
    command = ["reconstruct", str(with_a_photo_cut_short(photos)), "--pipeline", fake()]
    assert run(command) == ExitCode.DONE
    _, summary = capsys.readouterr().out.split("\n\n")
    first, then, *_ = summary.splitlines()
    assert first.startswith("warning: 1 photo left out: IMG_9.jpg (truncated")
    assert then.startswith("done in ")


def test_strict_is_exit_7_with_the_results_in_their_place(
    photos: Path, fake: Fake, capsys: Capture
) -> None:
    command = ["reconstruct", str(photos), "--pipeline", fake(), "--strict"]
    assert run(command) == ExitCode.DONE, "nothing is missing"
    with_a_photo_cut_short(photos)
    output = photos.with_name("my photos-3d")
    (output / "out.txt").unlink()
    capsys.readouterr()
    assert run(command) == ExitCode.DO_NOT_FIT
    assert (output / "out.txt").exists()
    assert "left out: IMG_9.jpg" in capsys.readouterr().err
    assert run([*command, "--json"]) == ExitCode.DO_NOT_FIT, "reused results are as incomplete"
    *_, summary, error = lines_of(capsys)
    assert (summary["event"], summary["complete"]) == ("summary", False)
    assert (error["event"], error["code"]) == ("error", 7)
    assert run([*command, "--dry-run"]) == ExitCode.DONE
