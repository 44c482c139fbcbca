from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.mvs_programs import FakePrograms

from insaat_cli.doctor import Check, Health, examine_machine
from insaat_cli.errors import MissingError
from insaat_cli.external.programs import OPENMVS, family_of, locate, require
from insaat_cli.pipeline.definition import Pipeline, Requirement
from insaat_cli.runner.requirements import check_requirements, find_program


def program(folder: Path, name: str, body: str = "exit 0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_the_users_folder_comes_before_path_and_usual_places(tmp_path: Path) -> None:
    own = program(tmp_path / "own", "TextureMesh")
    on_path = program(tmp_path / "path", "TextureMesh")
    environment = {"INSAAT_OPENMVS_BIN": str(own.parent), "PATH": str(on_path.parent)}
    assert locate("TextureMesh", environment) == str(own)
    own.unlink()
    assert locate("TextureMesh", environment) == str(on_path)


def test_usual_places_and_the_names_of_snaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    nix = program(tmp_path / ".nix-profile" / "bin", "RefineMesh")
    assert locate("RefineMesh", {"PATH": ""}) == str(nix)
    snap = program(tmp_path / "snap", "openmvs.DensifyPointCloud")
    assert locate("DensifyPointCloud", {"PATH": str(snap.parent)}) == str(snap)


def test_what_is_nowhere_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert family_of("TextureMesh") is OPENMVS
    assert family_of("ffmpeg") is None
    assert locate("openMVG_main_NoSuchProgram", {"PATH": str(tmp_path)}) is None
    with pytest.raises(MissingError) as caught:
        require("openMVG_main_NoSuchProgram")
    assert "INSAAT_OPENMVG_BIN" in caught.value.hint


def requirement(version: str = "2.2") -> Requirement:
    return Requirement(program="TextureMesh", version=version, arguments=("--help",))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INSAAT_OPENMVS_BIN", str(tmp_path))
    return tmp_path


def test_versions_are_read_without_leaving_a_log_behind(
    place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    program(place, "TextureMesh", "echo '18:23:11 [App     ] OpenMVS x64 v2.3.0'; touch x.log")
    found = find_program(requirement())
    assert (found.version, found.problem) == ("2.3.0", "")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("echo OpenMVS x64 v2.1.0", "TextureMesh 2.1.0 is too old, version 2.2"),
        ("kill -4 $$", "a different processor"),
    ],
)
def test_an_old_program_and_one_for_another_processor(place: Path, body: str, problem: str) -> None:
    program(place, "TextureMesh", body)
    found = find_program(requirement())
    assert problem in found.problem
    pipeline = Pipeline(name="p", summary="", source="", requires=(requirement(),))
    with pytest.raises(MissingError) as caught:
        check_requirements(pipeline)
    assert "snap" in caught.value.hint


def test_doctor_says_what_is_there_and_how_to_get_the_rest(
    mvs_programs: FakePrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def checks() -> dict[str, Check]:
        return {c.name: c for c in examine_machine(tmp_path, import_test=lambda module: "")}

    here = checks()
    assert (here["OpenMVS"].health, here["OpenMVG"].health) == (Health.GOOD, Health.GOOD)
    assert here["OpenMVS"].found == f"2.3.0 {mvs_programs.folder}"
    (mvs_programs.folder / "RefineMesh").unlink()
    monkeypatch.setenv("INSAAT_OPENMVG_BIN", str(tmp_path))
    monkeypatch.setattr("insaat_cli.runner.requirements.locate", _only_in(mvs_programs.folder))
    here = checks()
    assert here["OpenMVS"].health is Health.WARNING
    assert here["OpenMVS"].found == "RefineMesh is not installed"
    assert "snap" in here["OpenMVS"].advice
    assert here["OpenMVG"].found == "not installed"
    assert "needed only for --pipeline openmvg-openmvs" in here["OpenMVG"].advice
    assert all(c.health is not Health.PROBLEM for c in here.values())


def _only_in(folder: Path) -> Callable[[str], str | None]:
    def find(name: str) -> str | None:
        there = not name.startswith("openMVG") and (folder / name).exists()
        return str(folder / name) if there else None

    return find
