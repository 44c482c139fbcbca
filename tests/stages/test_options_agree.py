"""A stage's options and the description of its parameters say the same."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import typing
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from insaat_cli import stages
from insaat_cli.errors import UsageError
from insaat_cli.external.choose_colmap import AUTO, PROGRAM, PYCOLMAP
from insaat_cli.external.openmvg import HIGHER_PRESET
from insaat_cli.pipeline.defaults import FORMATS
from insaat_cli.pipeline.loader import find_pipeline, shipped_pipelines
from insaat_cli.pipeline.parameter_file import built_in_parameters
from insaat_cli.pipeline.parameters import Kind, Parameter
from insaat_cli.pipeline.stage_contract import parse_options
from insaat_cli.stages.openmvg_listing import KIND_OF_MODEL
from insaat_cli.stages.texture import LARGEST_SIZE

TYPES = {Kind.BOOL: bool, Kind.INT: int, Kind.FLOAT: float}
FOLDER = Path(inspect.getfile(stages)).parent
DESCRIBED = sorted(file.stem for file in FOLDER.glob("*.yaml"))


def options_of(module: str) -> type[Any]:
    """The dataclass that the stage's `main` hands to parse_options."""
    loaded = importlib.import_module(module)
    source = inspect.getsource(loaded.main)
    name = source.partition("parse_options(")[2].partition(",")[0].strip()
    found: type[Any] = getattr(loaded, name)
    return found


def test_every_stage_of_a_shipped_pipeline_has_a_description_or_no_parameters() -> None:
    used = set()
    for name in shipped_pipelines():
        for stage in find_pipeline(name).stages:
            assert stage.run is not None
            used.add(stage.run.rpartition(".")[2])
            assert (built_in_parameters(stage.run) is not None) == bool(stage.params), stage.run
    assert set(DESCRIBED) <= used


@pytest.mark.parametrize("stage", DESCRIBED)
def test_names_types_and_defaults(stage: str) -> None:
    module = f"insaat_cli.stages.{stage}"
    described = built_in_parameters(module)
    assert described is not None
    kind = options_of(module)
    hints = typing.get_type_hints(kind)
    assert set(described) == {field.name for field in dataclasses.fields(kind)}
    for field in dataclasses.fields(kind):
        parameter = described[field.name]
        hint, nullable = _without_null(hints[field.name])
        assert parameter.nullable == nullable, field.name
        if inspect.isclass(hint) and issubclass(hint, StrEnum):
            assert parameter.choices == tuple(hint), field.name
            hint = str
        assert TYPES.get(parameter.kind, str) is hint, field.name
        assert parameter.checked(field.name, field.default) == field.default


@pytest.mark.parametrize("name", shipped_pipelines())
def test_every_parameter_stands_in_the_pipeline_file(name: str) -> None:
    for stage in find_pipeline(name).stages:
        described = built_in_parameters(str(stage.run)) or {}
        assert (list(stage.params) and set(stage.params) == set(described)) or not described


@pytest.mark.parametrize("stage", DESCRIBED)
def test_a_stage_takes_what_its_description_allows(stage: str) -> None:
    module = f"insaat_cli.stages.{stage}"
    for name, parameter in (built_in_parameters(module) or {}).items():
        for value in _allowed(parameter):
            assert getattr(parse_options(options_of(module), {name: value}), name) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_stage_takes_no_number_that_is_none(value: float) -> None:
    kind = options_of("insaat_cli.stages.dense")
    with pytest.raises(UsageError, match="max_cost"):
        parse_options(kind, {"max_cost": value})


def test_choices_are_those_that_the_code_knows() -> None:
    def choices(stage: str, name: str) -> tuple[Any, ...]:
        return (built_in_parameters(f"insaat_cli.stages.{stage}") or {})[name].choices

    for stage in ("matching", "sparse"):
        assert set(choices(stage, "backend")) == {AUTO, PYCOLMAP, PROGRAM}
    assert choices("export", "formats") == FORMATS
    assert set(choices("openmvg_listing", "camera_model")) == set(KIND_OF_MODEL)
    assert set(choices("openmvg_features", "preset")) == set(HIGHER_PRESET)
    texture = built_in_parameters("insaat_cli.stages.texture") or {}
    assert texture["size"].maximum == LARGEST_SIZE


def _allowed(parameter: Parameter) -> list[Any]:
    if parameter.kind is Kind.BOOL:
        return [True, False]
    ends = [end for end in (parameter.minimum, parameter.maximum) if end is not None]
    return [*parameter.choices, *ends, *([None] if parameter.nullable else [])]


def _without_null(hint: Any) -> tuple[Any, bool]:
    arguments = [one for one in typing.get_args(hint) if one is not type(None)]
    return (arguments[0], True) if arguments else (hint, False)
