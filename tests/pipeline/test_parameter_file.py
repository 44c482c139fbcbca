"""Descriptions of parameters, in the files of stages and of pipelines."""

from __future__ import annotations

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.pipeline.loader import find_pipeline, parse_pipeline, shipped_pipelines
from insaat_cli.pipeline.parameter_file import ParameterReader, built_in_parameters
from insaat_cli.pipeline.parameters import Kind, Parameter
from insaat_cli.pipeline.settings import climb, with_preset, with_settings

STAGE = """\
max_side: {type: int, min: 64, max: 5000, unit: px, about: longest side}
stereo: {type: text, choices: [auto, own], about: "how"}
card: {type: int, nullable: true, about: "which"}
"""

MINE = """\
name: mine
presets:
  draft: {cut: {side: 800, sharp: 0.5}}
stages:
  - name: cut
    command: [prog, "{params.side}"]
    params:
      side: {default: 1200, min: 16, max: 8192, unit: px, about: "longest side"}
      sharp: {default: 1, type: float, min: 0.1, max: 2}
      mode: {default: fast, choices: [fast, good]}
      seed: {default: null, type: int, nullable: true}
      plain: 5
    on_memory: [{side: "* 0.5"}, {side: "* 0.001", sharp: "* 4"}]
    on_failure: [{mode: good}]
"""


def test_a_stages_file_is_read() -> None:
    found = ParameterReader("x.yaml").stage_parameters(STAGE)
    assert found["max_side"] == Parameter(
        kind=Kind.INT, minimum=64, maximum=5000, unit="px", about="longest side"
    )
    assert found["stereo"].choices == ("auto", "own")
    assert found["card"].nullable


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("type: int, min", "min", 1, "max_side has no 'type'"),
        (", about: longest side", "", 1, "max_side has no 'about'"),
        ("type: int, min", "type: number, min", 1, "unknown type 'number'"),
        ("type: int, min", "typ: int, min", 1, "unknown key 'typ'"),
        ("min: 64", "min: 6400", 1, "max is below min"),
        ("min: 64", "min: 6.4", 1, "a whole number"),
        ("min: 64", "min: .nan", 1, "a whole number"),
        ("min: 64", "choices: [big]", 1, "a whole number"),
        ("choices: [auto, own]", "min: 3", 2, "not a number"),
        ("choices: [auto, own]", "choices: []", 2, "no choices"),
        ("type: text, choices: [auto, own]", "type: list", 2, "needs 'choices'"),
        ("type: text", "type: bool", 2, "cannot have choices"),
        ("nullable: true", "nullable: perhaps", 3, "true or false"),
        ("stereo:", "max_side:", 2, "duplicate key"),
        ("{type: int, nullable", "[type", 3, "not valid YAML"),
    ],
)
def test_a_fault_of_a_stages_file_names_its_line(old: str, new: str, line: int, says: str) -> None:
    assert old in STAGE
    with pytest.raises(UsageError) as caught:
        ParameterReader("x.yaml").stage_parameters(STAGE.replace(old, new, 1))
    assert caught.value.message.startswith(f"x.yaml:{line}:"), caught.value.message
    assert says in caught.value.message


@pytest.mark.parametrize(
    "module",
    ["mine.stages.dense", "insaat_cli.stages.none", "insaat_cli.stages./etc/x", "", "dense"],
)
def test_other_modules_are_not_described(module: str) -> None:
    assert built_in_parameters(module) is None


def test_a_pipeline_describes_its_own_parameters() -> None:
    pipeline = parse_pipeline(MINE, "mine.yaml")
    cut = pipeline.stage("cut")
    assert cut.params == {"side": 1200, "sharp": 1.0, "mode": "fast", "seed": None, "plain": 5}
    assert type(cut.params["sharp"]) is float
    assert with_settings(pipeline, ["cut.seed=7"]).stage("cut").params["seed"] == 7
    assert with_preset(pipeline, "draft").stage("cut").params["side"] == 800
    for setting in ("cut.side=15", "cut.mode=best", "cut.sharp=nan", "cut.seed=x", "cut.plain=x"):
        with pytest.raises(UsageError, match="it must be"):
            with_settings(pipeline, [setting])


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("default: 1200", "default: 12", 8, "cut.side is 12; it must be a whole number from 16"),
        ("default: 1200, ", "", 8, "cut.side has no 'default'"),
        ("default: fast", "default: 3", 10, "choice"),
        ("default: null, type: int, nullable: true", "default: null, type: int", 11, "whole"),
        ("plain: 5", "plain: .inf", 12, "cut.plain is inf"),
        ("side: 800", "side: 8", 3, "cut.side is 8"),
        ("sharp: 0.5", "sharp: null", 3, "cut.sharp is null"),
        ("{mode: good}", "{mode: goood}", 14, "cut.on_failure.mode is 'goood'"),
        ("{mode: good}", "{side: 9000}", 14, "cut.on_failure.side is 9000"),
        ('"* 0.5"', '"* 0"', 13, "cannot be multiplied by 0"),
        ('"* 0.5"', '"* nan"', 13, "cannot be multiplied by nan"),
        ('"* 0.5"', '"* -1"', 13, "cannot be multiplied by -1"),
    ],
)
def test_defaults_presets_and_ladders_are_checked(old: str, new: str, line: int, says: str) -> None:
    assert old in MINE
    with pytest.raises(UsageError) as caught:
        parse_pipeline(MINE.replace(old, new, 1), "mine.yaml")
    assert caught.value.message.startswith(f"mine.yaml:{line}:"), caught.value.message
    assert says in caught.value.message


def test_a_ladder_stops_at_the_end_of_the_range() -> None:
    pipeline = with_settings(parse_pipeline(MINE, "mine.yaml"), ["cut.side=24"])
    cut = pipeline.stage("cut")
    assert climb(cut, cut.on_memory, 1, cut.params)[0]["side"] == 16
    lowest, _ = climb(cut, cut.on_memory, 2, cut.params)
    assert (lowest["side"], lowest["sharp"]) == (16, 2.0)


@pytest.mark.parametrize("change", ["{max_sid: 900}", "{max_side: {default: 900, min: 1}}"])
def test_a_built_in_stage_describes_its_parameters_itself(change: str) -> None:
    text = (
        f"name: x\nstages:\n  - name: dense\n    run: insaat_cli.stages.dense\n    params: {change}"
    )
    with pytest.raises(UsageError) as caught:
        parse_pipeline(text, "x.yaml")
    assert caught.value.message.startswith("x.yaml:5:")


@pytest.mark.parametrize("name", shipped_pipelines())
def test_every_parameter_of_a_shipped_pipeline_is_described(name: str) -> None:
    for stage in find_pipeline(name).stages:
        assert set(stage.described) == set(stage.params)
        for key, parameter in stage.described.items():
            assert len(parameter.about) > 10, key
            assert parameter.about[-1] not in ".;,", key
            if parameter.kind.is_number and not parameter.choices:
                assert parameter.minimum is not None, key
                assert parameter.maximum is not None, key
            if parameter.kind is Kind.TEXT:
                assert parameter.choices, key


@pytest.mark.parametrize("name", shipped_pipelines())
def test_ladders_of_shipped_pipelines_stay_in_range(name: str) -> None:
    pipeline = find_pipeline(name)
    for chosen in (pipeline, *(with_preset(pipeline, preset) for preset in pipeline.presets)):
        for stage in chosen.stages:
            for ladder in (stage.on_memory, stage.on_failure):
                for start in (stage.params, *_extremes(stage.params, stage.described)):
                    for rungs in range(len(ladder) + 1):
                        params, _ = climb(stage, ladder, rungs, start)
                        for key, value in params.items():
                            assert stage.parameter(key).checked(key, value) == value


def _extremes(params: dict, described: dict[str, Parameter]) -> list[dict]:
    """All numbers at their smallest, and all at their largest."""
    return [
        {
            key: value
            if getattr(described[key], end) is None
            else described[key].checked(key, getattr(described[key], end))
            for key, value in params.items()
        }
        for end in ("minimum", "maximum")
    ]
