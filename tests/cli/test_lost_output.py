"""Whole command lines whose output nobody reads to the end, or that cannot be written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from insaat_cli.cli.app import UNWRITTEN
from insaat_cli.errors import ExitCode

Fake = Callable[..., str]
FULL = "insaat: cannot write to stdout: No space left on device; continuing without it\n"


def piped(redirection: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code of insaat itself, what came out of the pipe, and what is on stderr."""
    command = f'"$0" -m insaat_cli "$@" {redirection}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("redirection", "more", "lines", "errors"),
    [
        ("| head -1", (), 1, ""),
        ("| head -1", ("--json",), 1, ""),
        (">/dev/full", (), 0, FULL),
        (">/dev/full", ("--json",), 0, FULL),
        (">&- 2>&-", (), 0, ""),
    ],
)
def test_run_goes_on_to_its_end_and_exits_as_it_did(
    photos: Path, fake: Fake, redirection: str, more: tuple[str, ...], lines: int, errors: str
) -> None:
    command = ["reconstruct", str(photos), "--pipeline", fake(), *more]
    code, out, err = piped(redirection, *command)
    assert (code, err) == (ExitCode.DONE, errors)
    assert len(out.splitlines()) == lines
    assert (photos.with_name("my photos-3d") / "report.html").exists()


def test_failed_run_that_nobody_reads_is_a_failed_run(photos: Path, fake: Fake) -> None:
    command = ["reconstruct", str(photos), "--pipeline", fake(fault="stage"), "--json"]
    code, _, err = piped("| head -1", *command)
    assert code == ExitCode.STAGE
    assert err.startswith("insaat: the depth maps are empty")


def test_listing_ends_silently_when_its_reader_leaves_and_fails_when_it_cannot_be_written() -> None:
    assert piped("| true", "pipelines", "show", "embedded") == (ExitCode.DONE, "", "")
    assert piped(">/dev/full", "pipelines", "list") == (UNWRITTEN, "", FULL)
    assert piped(">/dev/full", "--help") == (UNWRITTEN, "", FULL)
    code, _, err = piped(">/dev/full", "pipelines", "show", "nonsense")
    assert code == ExitCode.USAGE
    assert "nonsense" in err
