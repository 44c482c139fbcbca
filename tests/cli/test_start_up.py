"""What has to be loaded before a command begins, and the table that stands for what is not."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import typer

from insaat_cli.cli.app import run
from insaat_cli.cli.commands import COMMANDS, Entry

SLOW = {"boto3", "cv2", "numba", "numpy", "PIL", "pillow_heif", "psutil", "pycolmap", "scipy"}
"""Packages that only work needs."""

COMMAND_LINE = """
import sys
from insaat_cli.cli.app import run
code = run(sys.argv[1:])
print("loaded:", *sys.modules)
sys.exit(code)
"""


def loaded_by(*arguments: str, code: str = COMMAND_LINE) -> set[str]:
    """The modules that a command line of its own process has loaded at its end."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(done.stdout.split("loaded:")[1].split())


def test_the_version_needs_neither_rich_nor_any_command() -> None:
    loaded = loaded_by("--version")
    assert "insaat_cli.cli.commands" in loaded
    assert not loaded & {*SLOW, "rich", "yaml", "insaat_cli.display.output"}
    assert not loaded & {f"insaat_cli.cli.{entry.module}" for entry in COMMANDS}


@pytest.mark.parametrize("arguments", [["--help"], ["reconstruct", "--help"]])
def test_help_loads_nothing_that_only_work_needs(arguments: list[str]) -> None:
    loaded = loaded_by(*arguments)
    assert "rich" in loaded
    assert not loaded & {*SLOW, "yaml", "insaat_cli.runner"}


def test_no_command_loads_what_only_its_work_needs() -> None:
    code = (
        "import sys\n"
        "from insaat_cli.cli.commands import COMMANDS\n"
        "for entry in COMMANDS:\n"
        "    if entry.name != 'doctor':  # it measures the machine\n"
        "        entry.load()\n"
        "print('loaded:', *sys.modules)"
    )
    assert not loaded_by(code=code) & {*SLOW, "smtplib"}


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_table_says_of_a_command_what_the_command_says_of_itself(entry: Entry) -> None:
    found = entry.load()
    own = found.info.help if isinstance(found, typer.Typer) else inspect.getdoc(found)
    assert entry.help == own.split("\n\n")[0].replace("\n", " ")


def test_the_table_has_every_command_once() -> None:
    names = [entry.name for entry in COMMANDS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command_has_its_help(entry: Entry, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([entry.name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: insaat {entry.name} " in shown
    assert "--install-completion" not in shown
    assert " ".join(entry.help.split()[:3]) in shown


def test_a_misspelt_command_is_told_its_neighbour(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reconstrut"]) == 2
    assert "Did you mean 'reconstruct'?" in capsys.readouterr().err
    assert run(["pipelines", "shwo"]) == 2
    assert "Did you mean 'show'?" in capsys.readouterr().err
