"""Faults of paths that the user named are errors in words; our own stay what they are."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from insaat_cli.errors import StageError, UsageError
from insaat_cli.workspace.path_errors import explain_paths


def no_folder() -> str:
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")


def test_faults_of_named_paths_are_explained_and_others_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"cannot use .*a\\nb: Permission denied"), explain_paths():
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a\nb"))
    with pytest.raises(StageError, match="no space left"), explain_paths():
        raise OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patched:
        patched.setattr("tempfile.gettempdir", no_folder)
        with pytest.raises(UsageError, match="no writable temporary folder"), explain_paths():
            no_folder()
    with pytest.raises(ConnectionResetError), explain_paths():
        raise ConnectionResetError(errno.ECONNRESET, "reset")
