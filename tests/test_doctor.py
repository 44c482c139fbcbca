"""The doctor finds what is missing and says what to do."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from insaat_cli.cli.app import run
from insaat_cli.doctor import (
    Check,
    Health,
    _programs,
    examine_machine,
    import_fault,
    require_health,
)
from insaat_cli.errors import ExitCode, MissingError
from insaat_cli.pipeline.definition import Requirement
from insaat_cli.runner.requirements import Found

Usage = namedtuple("Usage", "total used free")


def checks(folder: Path, **faults: str) -> dict[str, Check]:
    found = examine_machine(folder, import_test=lambda module: faults.get(module, ""))
    return {check.name: check for check in found}


def test_healthy_machine(tmp_path: Path) -> None:
    found = checks(tmp_path)
    require_health(list(found.values()))
    assert {"numba", "numpy", "pycolmap", "pillow", "typer"} <= set(found)
    assert "mypy" not in found  # only developers need it
    assert found["numpy"].needed == "2.0"


def test_package_that_does_not_load(tmp_path: Path) -> None:
    found = checks(tmp_path, cv2="ImportError: libGL.so.1")["opencv-python-headless"]
    assert found.health is Health.PROBLEM
    assert "libGL.so.1" in found.found
    assert "pip install" in found.advice


def test_package_missing_and_package_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "scipy":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.2.3" if name == "numpy" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = checks(tmp_path)
    assert (found["scipy"].health, found["scipy"].found) == (Health.PROBLEM, "not installed")
    assert found["numpy"].health is Health.PROBLEM
    with pytest.raises(MissingError, match="2 problems: numpy, scipy"):
        require_health(list(found.values()))


@pytest.mark.parametrize(
    ("path", "pipelines", "health", "sign"),
    [
        (None, ["openmvg-openmvs"], Health.OPTIONAL, "--"),
        ("/usr/bin/TextureMesh", ["openmvg-openmvs"], Health.WARNING, "!!"),
        (None, ["embedded"], Health.PROBLEM, "XX"),
    ],
)
def test_what_another_pipeline_needs_and_nobody_installed_is_no_warning(
    path: str | None,
    pipelines: list[str],
    health: Health,
    sign: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requirement = Requirement(program="TextureMesh", hint="get it")
    found = Found(requirement=requirement, path=path, version="", problem="bad", hint="get it")
    monkeypatch.setattr("insaat_cli.doctor.find_program", lambda _: found)
    monkeypatch.setattr("insaat_cli.doctor.shipped_pipelines", lambda: pipelines)
    monkeypatch.setattr(
        "insaat_cli.doctor.find_pipeline",
        lambda _: SimpleNamespace(requires=[requirement]),
    )
    (check,) = _programs()
    assert check.health is health
    monkeypatch.setattr("insaat_cli.cli.doctor.examine_machine", lambda _: [check])
    assert run(["doctor"]) == (ExitCode.MISSING if health is Health.PROBLEM else ExitCode.DONE)
    assert f"{sign}  OpenMVS" in capsys.readouterr().out


def test_little_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 10**9))
    disk = checks(tmp_path)["free disk space"]
    assert (disk.health, disk.found) == (Health.WARNING, "1.0 GB here")
    require_health([disk])


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    cache = checks(tmp_path)["cache of compiled code"]
    assert cache.health is Health.WARNING
    assert "NUMBA_CACHE_DIR" in cache.advice


def test_import_in_a_process_of_its_own() -> None:
    assert import_fault("json") == ""
    assert import_fault("no_such_module").startswith("ModuleNotFoundError")


def test_command_exits_with_4_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Check(
        name="scipy", health=Health.PROBLEM, found="not installed", needed="1.14", advice="pip …"
    )
    monkeypatch.setattr("insaat_cli.cli.doctor.examine_machine", lambda _: [broken])
    assert run(["doctor"]) == ExitCode.MISSING
    captured = capsys.readouterr()
    assert "fix: pip" in captured.out
    assert "1 problem: scipy" in captured.err
    assert run(["doctor", "--json"]) == ExitCode.MISSING
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["check", "error"]
