"""Compiled code is kept somewhere, whatever can be written to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import insaat_cli
from insaat_cli.errors import NotWritableError
from insaat_cli.machine.numba_cache import (
    Cache,
    cache_folder,
    cache_variables,
    private_folder,
    require_folder,
)

NOWHERE = "/dev/null/nowhere"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that cannot be written to, even by root."""
    engine = tmp_path / "package" / "engine"
    engine.mkdir(parents=True)
    (engine / "__pycache__").touch()
    return engine.parent


@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"])
def test_what_numba_finds_by_itself_is_left_to_it(
    package: Path, tmp_path: Path, variable: str
) -> None:
    nowhere = dict.fromkeys(("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"), NOWHERE)
    if variable == "HOME":
        del nowhere["XDG_CACHE_HOME"]
    assert cache_variables({**nowhere, variable: str(tmp_path / "cache")}, package) == {}


def test_a_package_that_can_be_written_to_is_enough(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    assert cache_variables({"HOME": NOWHERE, "XDG_CACHE_HOME": NOWHERE}, tmp_path) == {}


def test_looking_makes_no_folder_and_marking_does(package: Path, tmp_path: Path) -> None:
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "a" / "b"), "HOME": NOWHERE}
    assert cache_folder(environment, package) == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()
    cache = Cache.found(environment, package)
    cache.mark()
    assert cache.folder == tmp_path / "a" / "b"
    assert Cache.found(environment, package).warm


def test_without_any_place_there_is_no_folder(package: Path) -> None:
    assert cache_folder({"NUMBA_CACHE_DIR": NOWHERE, "HOME": NOWHERE}, package) is None


def test_else_it_is_the_same_private_folder_every_time(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environment = {"HOME": NOWHERE, "NUMBA_CACHE_DIR": NOWHERE}
    first = cache_variables(environment, package)
    assert first == cache_variables(environment, package)
    folder = Path(first["NUMBA_CACHE_DIR"])
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_written_only_what_compiles_is_refused(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", NOWHERE)
    environment = {"HOME": NOWHERE, "NUMBA_CACHE_DIR": NOWHERE}
    assert cache_variables(environment, package) == {}
    with pytest.raises(NotWritableError) as refused:
        require_folder(environment, package)
    assert "TMPDIR" in refused.value.hint
    require_folder({**environment, "NUMBA_CACHE_DIR": str(package)}, package)


def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path: Path) -> None:
    trap = private_folder(tmp_path)
    trap.chmod(0o777)
    assert private_folder(tmp_path) != trap
    trap.rmdir()
    (tmp_path / "elsewhere").mkdir()
    trap.symlink_to(tmp_path / "elsewhere")
    assert private_folder(tmp_path) not in (trap, tmp_path / "elsewhere")


def test_a_read_only_installation_runs_its_compiled_code(tmp_path: Path) -> None:
    """With the real numba: without the folder, it refuses to load the module."""
    copy = tmp_path / "installed" / "insaat_cli"
    source = Path(insaat_cli.__file__).parent
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
        (folder / "__pycache__").touch()
    environment = {**os.environ, "HOME": NOWHERE, "PYTHONPATH": str(copy.parent)}
    environment.pop("NUMBA_CACHE_DIR", None)
    environment.pop("XDG_CACHE_HOME", None)
    code = "import insaat_cli.engine.surface.mesh_cleaning as m; print(m.__file__)"

    def load(more: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
        )

    assert "no locator available" in load({}).stderr
    done = load({"NUMBA_CACHE_DIR": str(private_folder(tmp_path))})
    assert done.returncode == 0, done.stderr
    assert str(copy) in done.stdout
