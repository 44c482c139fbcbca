"""Use the real `insaat` command the way a user's shell does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

LONGEST_S = 400


def insaat_command(*arguments: str | Path) -> list[str]:
    """The command that was installed with this Python."""
    program = Path(sys.executable).with_name("insaat")
    assert program.exists(), "install the package first: pip install -e ."
    return [str(program), *map(str, arguments)]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the user sees of a command that ended."""

    code: int
    stdout: str
    stderr: str

    def expect(self, code: int, *words: str) -> None:
        """It ended with `code`, and told the user in a paragraph that holds all `words`."""
        told = f"exit {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        assert self.code == code, told
        assert "Traceback" not in self.stdout + self.stderr, told
        text = " ".join(self.stderr.split()).casefold()
        if code != 0:
            assert text, "nothing was said on stderr"
            assert len(self.stderr.strip().splitlines()) <= 40, told
        for word in words:
            assert word.casefold() in text, f"{word!r} is not in:\n{told}"


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """A run of the statue's photos to its end. Do not write into its workspace."""

    workspace: Path
    events: list[dict[str, Any]]
    """What it said under --json."""


def insaat(*arguments: str | Path, cwd: Path | None = None, **extra: Any) -> Outcome:
    """Run the command to its end without a terminal."""
    done = subprocess.run(
        insaat_command(*arguments),
        capture_output=True,
        cwd=cwd,
        timeout=LONGEST_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
        **extra,
    )
    return Outcome(
        code=done.returncode,
        stdout=done.stdout.decode("utf-8", "replace"),
        stderr=done.stderr.decode("utf-8", "replace"),
    )


def reconstruct(photos: Path, output: Path, *more: str, **extra: Any) -> Outcome:
    """`insaat reconstruct` at its cheapest."""
    options = ("--preset", "draft", "--json")
    return insaat("reconstruct", photos, "-o", output, *options, *more, **extra)


def contents(folder: Path) -> dict[str, str]:
    """Every file below `folder` and the hash of what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run_record(workspace: Path) -> dict[str, Any]:
    """run.json of a workspace."""
    return dict(json.loads((workspace / "run.json").read_text(encoding="utf-8")))


def statuses(workspace: Path) -> dict[str, str]:
    """How each stage of the last run went."""
    return {stage["name"]: stage["status"] for stage in run_record(workspace)["stages"]}


def left_out(workspace: Path) -> dict[str, str]:
    """Files that were not used, and why."""
    files = json.loads((workspace / "photos.json").read_text(encoding="utf-8"))["left_out"]
    return {file["name"]: file["reason"] for file in files}


def processes_about(workspace: Path) -> list[psutil.Process]:
    """Every process whose command line names `workspace`."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(workspace) in word for word in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait_until_gone(workspace: Path, seconds: float = 10.0) -> list[psutil.Process]:
    """Processes that still work on `workspace` after a time in which they should have ended."""
    deadline = time.monotonic() + seconds
    while (left := processes_about(workspace)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left
