"""The log of an attempt as one text, and its last line."""

from __future__ import annotations

import os
from pathlib import Path

PART_BYTES = 200_000
LINE_BYTES = 2000
LINE_CHARACTERS = 300
RUNNER_LINE = "--- "
"""How the runner heads an attempt in a log: its command line, which is of no interest."""


def collect_logs(first: Path, folder: Path) -> bytes:
    """`first` and every stage's log in `folder`, oldest first, each with its last PART_BYTES."""
    stages = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
    parts = [
        f"==> {path.name} <==\n".encode() + _tail(path, PART_BYTES) for path in [first, *stages]
    ]
    return b"\n".join(parts)


def last_line(path: Path) -> str:
    """The last line with something in it; "" where there is none."""
    lines = _tail(path, LINE_BYTES).decode("utf-8", "replace").splitlines()
    shown = [line.strip() for line in lines if line.strip() and not line.startswith(RUNNER_LINE)]
    return shown[-1][:LINE_CHARACTERS] if shown else ""


def _tail(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read()
    except OSError:
        return b""
