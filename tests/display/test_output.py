"""Errors as people read them, and which display what kind of output gets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from insaat_cli.display.batch_board import BatchBoard
from insaat_cli.display.output import Display, Output, error_fields, error_text
from insaat_cli.display.plain_lines import PlainLines
from insaat_cli.display.run_board import Board
from insaat_cli.errors import PhotosError, StageError


def test_error_says_what_where_what_to_try_and_the_log() -> None:
    error = StageError(
        "no depth\nfor a\x1b[2J.jpg",
        hint="this\nor that",
        stage="dense",
        log=Path("logs/dense.log"),
    )
    assert error_text(error).plain.splitlines() == [
        "insaat: no depth (stage dense)",
        r"for a\x1b[2J.jpg",
        "  try: this",
        "       or that",
        "  log: logs/dense.log",
    ]


def test_error_with_nothing_but_a_message() -> None:
    assert error_text(PhotosError("no photos")).plain == "insaat: no photos"


def test_fields_of_an_error() -> None:
    assert error_fields(PhotosError("no photos", hint="take some")) == {
        "event": "error",
        "code": 3,
        "kind": "PhotosError",
        "message": "no photos",
        "stage": None,
        "hint": "take some",
        "log": None,
    }


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    controller, end = os.openpty()
    with os.fdopen(end, "w") as stream:
        yield stream
    os.close(controller)


@pytest.mark.parametrize(
    ("kind", "drawn"), [("xterm-256color", True), ("dumb", False), ("unknown", False)]
)
def test_board_is_for_terminals_that_can_paint_over(
    kind: str, drawn: bool, terminal: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr("sys.stdout", terminal)
    out = Output(Display.NORMAL)
    with out.listening() as listener:
        assert type(listener) is (Board if drawn else PlainLines)
    with out.listening_to_all(["a"]) as heard:
        assert isinstance(heard, BatchBoard) is drawn


def test_log_with_forced_colors_gets_no_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr("sys.stdout", log)
        with Output(Display.NORMAL).listening() as listener:
            assert type(listener) is PlainLines
