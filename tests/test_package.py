"""What `pip install .` gives: the command, the pipelines, nothing of the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT]
    subprocess.run(command, check=True, timeout=300)
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_every_pipeline_is_inside(wheel: zipfile.ZipFile) -> None:
    shipped = {path.name for path in (ROOT / "pipelines").glob("*.yaml")}
    inside = {
        Path(name).name for name in wheel.namelist() if name.startswith("insaat_cli/pipelines/")
    }
    assert shipped
    assert inside == shipped


@pytest.mark.parametrize("kind", ["*.py", "stages/*.yaml"])
def test_every_module_and_description_is_inside(wheel: zipfile.ZipFile, kind: str) -> None:
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob(kind)}
    assert files
    assert files <= set(wheel.namelist())


def test_nothing_native_is_built(wheel: zipfile.ZipFile) -> None:
    assert wheel.filename is not None
    assert wheel.filename.endswith("-py3-none-any.whl")
    assert not [name for name in wheel.namelist() if name.endswith((".so", ".pyd", ".dylib"))]
