"""The tail of a log that a status shows, and the whole that is stored."""

from __future__ import annotations

from pathlib import Path

from insaat_cli.remote.worker.job_log import PART_BYTES, collect_logs, last_line


def test_the_last_line_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "dense.log"
    assert last_line(log) == ""
    log.write_text("--- ['python', 'dense']\n")
    assert last_line(log) == ""
    log.write_text("--- ['python']\nimage 3 of 9\n\n  \n")
    assert last_line(log) == "image 3 of 9"


def test_logs_are_bounded_and_named(tmp_path: Path) -> None:
    first, folder = tmp_path / "execute.log", tmp_path / "logs"
    folder.mkdir()
    (folder / "dense.log").write_bytes(b"x" * (3 * PART_BYTES) + b"end")
    text = collect_logs(first, folder)
    assert b"==> dense.log <==" in text and text.endswith(b"end")
    assert len(text) < PART_BYTES + 1000
