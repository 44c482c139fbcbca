"""Jobs as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import typer

from insaat_cli.cli.submit import READER_LEFT, _follow
from insaat_cli.display.job_text import ended_error, job_line, status_lines
from insaat_cli.display.output import Display, Output, error_text
from insaat_cli.errors import Fault
from insaat_cli.remote.queue.job_state import JobState, Problem, Status

FAILED = JobState(
    job="20260101-000000-aaaaaaaa",
    status=Status.FAILED,
    problem=Problem(
        fault=Fault.PHOTOS,
        message="only 2 usable photos\n  a.jpg: not an image\x1b[2J",
        hint="take more\nor better ones",
    ),
)


def test_problem_of_several_lines_is_several_lines() -> None:
    assert status_lines(FAILED) == [
        f"{FAILED.job}: FAILED",
        "only 2 usable photos",
        r"  a.jpg: not an image\x1b[2J",
        "take more",
        "or better ones",
    ]
    assert job_line(FAILED).endswith("  only 2 usable photos")
    assert error_text(ended_error(FAILED)).plain.splitlines() == [
        f"insaat: job {FAILED.job} failed: only 2 usable photos",
        r"  a.jpg: not an image\x1b[2J",
        "  try: take more",
        "       or better ones",
    ]


class _Client:
    """A job that runs for ever."""

    def __init__(self) -> None:
        self.asked = 0

    def follow(self, job: str, **_: Any) -> Iterator[JobState]:
        for number in range(100):
            self.asked = number + 1
            yield replace(FAILED, status=Status.RUNNING, problem=None, revision=number)


class _Unheard(Output):
    @property
    def is_heard(self) -> bool:
        return False


def test_following_ends_when_nobody_reads() -> None:
    client = _Client()
    with pytest.raises(typer.Exit) as ended:
        _follow(client, FAILED.job, _Unheard(Display.QUIET), stop_if_unread=True)  # type: ignore[arg-type]
    assert ended.value.exit_code == READER_LEFT == 141
    assert client.asked == 1
