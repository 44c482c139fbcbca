"""Compiling beforehand: the tiny set goes through the real stages, and leaves a marker."""

from __future__ import annotations

from pathlib import Path

import pytest

from insaat_cli.machine.numba_cache import Cache
from insaat_cli.mesh_io.textured_mesh import read_glb
from insaat_cli.stages import precompile


@pytest.fixture
def package(tmp_path: Path) -> Path:
    engine = tmp_path / "package" / "engine"
    engine.mkdir(parents=True)
    (engine / "stereo.py").write_text("one = 1\n")
    return engine.parent


def test_the_tiny_set_becomes_a_model(tmp_path: Path) -> None:
    precompile.run_through(tmp_path, precompile.compiled_stages())
    mesh = read_glb(tmp_path / "export" / "model.glb")
    assert len(mesh.faces) > 100
    assert (tmp_path / "export" / "preview.png").exists()


def test_a_marked_cache_is_warm_until_the_code_changes(package: Path) -> None:
    cache = Cache.found({}, package)
    assert cache.folder == package / "engine" / "__pycache__"
    assert not cache.warm
    cache.mark()
    assert Cache.found({}, package).warm
    (package / "engine" / "stereo.py").write_text("one = 11\n")
    assert not Cache.found({}, package).warm


def test_a_marker_goes_with_the_cache_that_it_speaks_of(package: Path, tmp_path: Path) -> None:
    Cache.found({}, package).mark()
    assert not Cache.found({"NUMBA_CACHE_DIR": str(tmp_path / "other")}, package).warm


def test_a_fault_is_only_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(precompile.os, "nice", lambda by: by)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(precompile, "compiled_stages", lambda: {"dense": None})
    assert precompile.main([str(tmp_path / "work")]) == 0
    assert "Traceback" in capsys.readouterr().err
    assert not list((tmp_path / "cache").glob("*"))
