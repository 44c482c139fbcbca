"""Errors as people read them."""

from __future__ import annotations

from pathlib import Path

from insaat_cli.console import error_fields, error_text
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
