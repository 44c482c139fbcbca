"""What the shell offers, through the program's own completion."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from insaat_cli.cli.app import run
from insaat_cli.pipeline.loader import find_pipeline, shipped_pipelines

Offered = Callable[[str], list[str]]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Offered:
    """The words that bash is given for a line whose last word is being written."""

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("_INSAAT_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        run([])
        return capsys.readouterr().out.split()

    return ask


def test_every_parameter_of_the_pipeline_asked_for(offered: Offered) -> None:
    for options, name in (("", "embedded"), ("--pipeline colmap-openmvs ", "colmap-openmvs")):
        stages = find_pipeline(name).stages
        wanted = [f"{stage.name}.{key}=" for stage in stages for key in stage.params]
        assert offered(f"insaat reconstruct photos {options}--set ") == wanted
    assert offered("insaat submit photos --set dense.max") == ["dense.max_side=", "dense.max_cost="]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("reconstruct photos --set dense.stereo=", ["auto", "own", "cuda"]),
        ("batch jobs.yaml --set texture.levelling=", ["true", "false"]),
    ],
)
def test_values_where_they_are_few(offered: Offered, line: str, words: list[str]) -> None:
    start = line.split(" ")[-1]
    assert offered(f"insaat {line}") == [start + word for word in words]


def test_presets_stages_pipelines_and_formats(offered: Offered) -> None:
    assert offered("insaat plan photos --preset ") == ["draft", "normal", "high"]
    assert offered("insaat reconstruct photos --until te") == ["texture"]
    assert offered("insaat reconstruct photos --pipeline ") == list(shipped_pipelines())
    assert offered("insaat pipelines show emb") == ["embedded"]
    assert offered("insaat reconstruct photos --format obj,") == ["obj,glb", "obj,ply", "obj,stl"]


def test_no_such_pipeline_is_no_error(offered: Offered) -> None:
    assert offered("insaat reconstruct photos --pipeline nothing --set ") == []


def test_offering_imports_nothing_heavy() -> None:
    code = (
        "import sys; import insaat_cli.cli.completion as c; import typer\n"
        "assert not {'cv2', 'numba', 'numpy', 'scipy', 'boto3'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
