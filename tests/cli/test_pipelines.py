"""`insaat pipelines`: list, show, check."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from insaat_cli.cli.app import run
from insaat_cli.display.pipeline_text import pipeline_lines
from insaat_cli.errors import ExitCode
from insaat_cli.pipeline.loader import find_pipeline, shipped_pipelines

Capture = pytest.CaptureFixture[str]


def test_list_names_the_default(capsys: Capture) -> None:
    assert run(["pipelines", "list"]) == ExitCode.DONE
    assert any(line.startswith("embedded ") for line in capsys.readouterr().out.splitlines())


def test_show_in_words_and_as_json(capsys: Capture) -> None:
    assert run(["pipelines", "show", "embedded"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "preset draft: resize.max_side=" in shown
    assert run(["pipelines", "show", "embedded", "--json"]) == ExitCode.DONE
    fields = json.loads(capsys.readouterr().out)
    assert fields["stages"][0]["name"] == "resize"
    assert all(stage["name"] in shown for stage in fields["stages"])
    assert fields["stages"][0]["parameters"]["max_side"] == {
        "default": 2400,
        "type": "int",
        "min": 128,
        "max": 65500,
        "choices": None,
        "nullable": False,
        "unit": "px",
        "about": find_pipeline("embedded").stages[0].parameter("max_side").about,
    }


@pytest.mark.parametrize("name", shipped_pipelines())
@pytest.mark.parametrize("width", [40, 80, 120, None])
def test_every_parameter_is_shown_with_default_range_and_meaning(
    name: str, width: int | None
) -> None:
    pipeline = find_pipeline(name)
    lines = pipeline_lines(pipeline, width)
    for stage in pipeline.stages:
        for key in stage.params:
            rows = [line for line in lines if line.startswith(f"  {key} ")]
            assert rows
            parameter = stage.parameter(key)
            if width is None:
                assert any(parameter.range in row and parameter.about in row for row in rows)
    if width in (80, 120):
        longest = max(len(line) for line in lines if not line.startswith("  from "))
        assert longest <= width


def test_check_of_a_good_file(fake: Callable[..., str], capsys: Capture) -> None:
    assert run(["pipelines", "check", fake()]) == ExitCode.DONE
    assert capsys.readouterr().out == "fake: 2 stages, valid, all programs found\n"


def test_check_of_a_wrong_file_says_where(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("name: wrong\nstages:\n  - nam: x\n", encoding="utf-8")
    assert run(["pipelines", "check", str(path)]) == ExitCode.USAGE
    assert "wrong.yaml:3" in capsys.readouterr().err


def test_check_of_a_pipeline_whose_program_is_missing(
    fake: Callable[..., str], capsys: Capture
) -> None:
    path = Path(fake())
    pipeline = yaml.safe_load(path.read_text(encoding="utf-8"))
    pipeline["requires"] = [{"program": "no-such-program-here", "hint": "get it somewhere"}]
    path.write_text(yaml.safe_dump(pipeline), encoding="utf-8")
    assert run(["pipelines", "check", str(path)]) == ExitCode.MISSING
    message = capsys.readouterr().err
    assert "no-such-program-here is not installed" in message
    assert "get it somewhere" in message


def test_unknown_pipeline(capsys: Capture) -> None:
    assert run(["pipelines", "show", "embeded"]) == ExitCode.USAGE
    assert "did you mean embedded?" in capsys.readouterr().err
