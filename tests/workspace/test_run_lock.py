"""Two runs never share a folder, whether or not its file system has locks."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.workspace import run_lock
from insaat_cli.workspace.run_lock import NOTE_NAME, alone


@pytest.fixture(params=["flock", "no locks"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "no locks":

        def flock(handle: object, how: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(run_lock.fcntl, "flock", flock)
    return tmp_path


def test_the_second_run_is_refused_until_the_first_has_ended(root: Path) -> None:
    with alone(root), pytest.raises(UsageError, match="another run is using"), alone(root):
        raise AssertionError("both are at work")
    with alone(root):
        pass
    assert not (root / NOTE_NAME).exists()


def test_an_error_of_the_run_itself_passes_through(root: Path) -> None:
    with pytest.raises(OSError, match="of the run"), alone(root):
        raise OSError(errno.ENOLCK, "of the run")
    with alone(root):
        pass


def note_of(said: dict[str, object], root: Path) -> None:
    (root / NOTE_NAME).write_text(json.dumps(said))


@pytest.mark.parametrize("root", ["no locks"], indirect=True)
def test_what_a_dead_run_left_is_replaced(root: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    note_of({"host": socket.gethostname(), "pid": ended.pid, "since": 1.0}, root)
    with alone(root):
        pass
    note_of({"host": socket.gethostname(), "pid": os.getpid(), "since": 1.0}, root)
    with alone(root):  # the number is that of another process now
        pass


@pytest.mark.parametrize("root", ["no locks"], indirect=True)
@pytest.mark.parametrize("said", [{"host": "elsewhere", "pid": 1, "since": 1.0}, {}])
def test_what_nobody_here_can_know_is_left_to_the_user(root: Path, said: dict[str, object]) -> None:
    note_of(said, root)
    with pytest.raises(UsageError) as caught, alone(root):
        pass
    assert f"delete {root / NOTE_NAME}" in caught.value.hint
