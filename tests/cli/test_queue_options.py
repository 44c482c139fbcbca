"""Options that the queue's commands share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from insaat_cli.cli.app import run
from insaat_cli.cli.queue_options import all_tags
from insaat_cli.errors import ExitCode


@pytest.mark.parametrize(
    ("lists", "tags"),
    [(None, ()), (["a"], ("a",)), (["a,b", "c", "a"], ("a", "b", "c")), ([" a , ,b"], ("a", "b"))],
)
def test_tags_in_lists_and_one_by_one(lists: list[str] | None, tags: tuple[str, ...]) -> None:
    assert all_tags(lists) == tags


@pytest.mark.parametrize("option", ["--tag", "--tags"])
def test_both_names_of_the_option_are_known_to_both_commands(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remote = ["--remote", str(tmp_path / "queue")]
    assert run(["submit", str(tmp_path), *remote, option, "gpu,No Good"]) == ExitCode.USAGE
    assert "invalid tags 'No Good'" in capsys.readouterr().err
    assert run(["worker", *remote, option, "gpu", "--lease", "0"]) == ExitCode.USAGE
    assert "--lease" in capsys.readouterr().err


def test_a_quiet_worker_logs_no_more_than_warnings(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "insaat_cli", "worker", "--once"]
    command += ["--remote", str(tmp_path / "queue")]
    heard = [
        subprocess.run([*command, *more], capture_output=True, text=True, check=True).stderr
        for more in ([], ["-q"])
    ]
    assert " INFO " in heard[0]
    assert heard[1] == ""
