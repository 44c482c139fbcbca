"""pycolmap takes no signal away, and shares no database with Python's SQLite."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import insaat_cli

DOOR = "insaat_cli.engine.colmap.pycolmap_door"
SOURCE = Path(insaat_cli.__file__).parent
PYTHONS_SQLITE = {"sqlite3", "insaat_cli.engine.colmap.database"}


def killed_after_import(number: signal.Signals, handler: str = "") -> subprocess.CompletedProcess:
    """What becomes of a process that imports pycolmap, uses it, and then gets a signal."""
    code = f"""
import os, signal
{handler}
from {DOOR} import pycolmap
pycolmap.synthesize_dataset(pycolmap.SyntheticDatasetOptions())
os.kill(os.getpid(), {int(number)})
"""
    command = [sys.executable, "-X", "faulthandler", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_with_pycolmap_ends_when_asked(number: signal.Signals) -> None:
    # Whoever runs the tests may ignore SIGHUP (nohup), and children inherit that.
    ended = killed_after_import(number, f"signal.signal({int(number)}, signal.SIG_DFL)")
    assert (ended.returncode, ended.stderr) == (-number, "")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT])
def test_a_crash_is_the_crash_that_it_was(number: signal.Signals) -> None:
    ended = killed_after_import(number)
    assert ended.returncode == -number
    assert ended.stderr.startswith("Fatal Python error:")  # faulthandler's, not glog's


def test_handlers_of_the_program_stay(tmp_path: Path) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: os._exit(7))"
    assert killed_after_import(signal.SIGTERM, handler).returncode == 7


def imported_by(path: Path) -> set[str]:
    """Full names of modules and of what is taken out of them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each file of the package imports, by its path in there."""
    return {str(path.relative_to(SOURCE)): imported_by(path) for path in SOURCE.rglob("*.py")}


def test_pycolmap_comes_through_the_door_only(imports: dict[str, set[str]]) -> None:
    direct = {
        path
        for path, names in imports.items()
        if any(name.partition(".")[0] == "pycolmap" for name in names)
    }
    assert direct == {"engine/colmap/pycolmap_door.py"}


def test_who_uses_pycolmap_reads_databases_by_it_alone(imports: dict[str, set[str]]) -> None:
    users = {path: names for path, names in imports.items() if DOOR in names}
    assert "engine/sfm/pycolmap_backend.py" in users
    assert {path for path, names in users.items() if names & PYTHONS_SQLITE} == set()
