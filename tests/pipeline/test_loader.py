"""Pipeline files: what is right is read exactly, what is wrong is named with file and line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from insaat_cli.errors import Fault, UsageError
from insaat_cli.pipeline.definition import DiskModel, Multiplier
from insaat_cli.pipeline.loader import (
    find_pipeline,
    load_pipeline,
    parse_pipeline,
    shipped_pipelines,
)
from insaat_cli.pipeline.settings import climb, with_preset, with_settings

GOOD = """\
name: tiny
summary: two steps
requires:
  - {program: openMVG_main_ComputeFeatures, version: "2.0"}
presets:
  draft: {one: {max_side: 800, ratio: 1}}
stages:
  - name: one
    title: step one
    run: insaat_cli.stages.one
    version: 3
    params: {max_side: 2400, ratio: 0.8, fast: false, mode: best, seed: null}
    outputs: [images/, images.json]
    memory: {base_mb: 120, per_thread_megapixel_mb: 14}
    time: {base_s: 1, per_photo_megapixel_s: 0.04}
    threads: {max: all}
    expect:
      - {metric: photos, min: 3, fault: photos, hint: more}
    on_memory: [{threads: 1}, {max_side: "* 0.7"}, {max_side: "* 0.5", fast: true}]
    on_failure: [{mode: safe}]
  - name: two
    command: [prog, -i, "{inputs.one}/x", -o, "{output}", "{{literal}}", "{params.size}"]
    needs: [one]
    params: {size: 4}
    threads: {max: 1}
    size_from: one
"""


def test_every_field_is_read() -> None:
    pipeline = parse_pipeline(GOOD, "tiny.yaml")
    one, two = pipeline.stages
    assert (one.title, one.run, one.version) == ("step one", "insaat_cli.stages.one", 3)
    assert one.params == {
        "max_side": 2400,
        "ratio": 0.8,
        "fast": False,
        "mode": "best",
        "seed": None,
    }
    assert one.memory.per_thread_megapixel_mb == 14
    assert one.threads.maximum is None
    assert one.expect[0].fault is Fault.PHOTOS
    assert one.on_memory[1] == {"max_side": Multiplier(0.7)}
    assert two.title == "two"
    assert two.threads.maximum == 1
    assert two.command is not None
    assert two.command[0] == "prog"
    assert pipeline.requires[0].version == "2.0"
    assert pipeline.dependants("one") == {"one", "two"}
    assert pipeline.dependants("two") == {"two"}


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("summary: two", "sumary: two", 2, "unknown key 'sumary'"),
        ("version: 3", "version: three", 11, "a whole number"),
        ("version: 3", "version: true", 11, "a whole number"),
        ("title: step one", "title: [a]", 9, "single value"),
        ("{base_mb: 120", "{base_mb: -1", 14, "negative"),
        ("{base_mb: 120", "{base: 120", 14, "unknown key 'base'"),
        ("max: all", "max: 0", 16, "at least 1"),
        ("needs: [one]", "needs: [oen]", 23, "unknown stage 'oen'"),
        ("needs: [one]", "needs: [two]", 23, "which comes after it"),
        ("name: two", "name: one", 21, "twice"),
        ("name: two", "name: ../two", 21, "not a valid stage name"),
        ("{output}", "{outptu}", 22, "unknown placeholder {outptu}"),
        ("{output}", "{inputs.two}", 22, "unknown placeholder"),
        ("{output}", "{output!r}", 22, "unknown placeholder"),
        ("{output}", "{output", 22, "expected '}'"),
        ("[prog, ", "prog # ", 22, "must be a list"),
        ("{max_side: 800", "{max_sid: 800", 6, "unknown key 'max_sid'"),
        ("{max_side: 800", "{max_side: big", 6, "a whole number"),
        ("{one: {max", "{uno: {max", 6, "unknown key 'uno'"),
        ("fault: photos", "fault: fotos", 18, "unknown fault"),
        ("min: 3, ", "", 18, "'min' or 'max'"),
        ("metric: photos", "metrik: photos", 18, "unknown key 'metrik'"),
        ("[{mode: safe}]", "[{mood: safe}]", 20, "unknown key 'mood'"),
        ("[{mode: safe}]", '[{mode: "* 2"}]', 20, "cannot be multiplied"),
        ('{max_side: "* 0.7"}', '{max_side: "* x"}', 19, "could not convert"),
        ("[images/, images.json]", "[../images]", 13, "not inside"),
        ("[images/, images.json]", "[/etc]", 13, "not inside"),
        ("size_from: one", "size_from: two", 26, "must name an earlier stage"),
        ("    run: insaat_cli.stages.one\n", "", 8, "either 'run' or 'command'"),
        ("params: {size: 4}", "params: {size: 4, size: 5}", 24, "duplicate key 'size'"),
        ("params: {size: 4}", "params: {size: 2024-01-01}", 24, "put it in quotes"),
        ("params: {size: 4}", "params: {size: !!python/name:os.system x}", 24, "size"),
        ("summary: two", "summary: [two", 3, "not valid YAML"),
    ],
)
def test_a_fault_names_file_and_line(old: str, new: str, line: int, says: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(UsageError) as caught:
        parse_pipeline(GOOD.replace(old, new, 1), "tiny.yaml")
    assert caught.value.message.startswith(f"tiny.yaml:{line}:"), caught.value.message
    assert says in caught.value.message


@pytest.mark.parametrize("text", ["", "[]", "name: x", "name: x\nstages: []", "{", "\x00"])
def test_a_file_that_is_no_pipeline(text: str) -> None:
    with pytest.raises(UsageError):
        parse_pipeline(text, "x.yaml")


def test_preset_and_settings_change_only_what_they_name() -> None:
    pipeline = parse_pipeline(GOOD, "tiny.yaml")
    changed = with_settings(with_preset(pipeline, "draft"), ["one.fast=yes", "one.seed=7"])
    expected = {"max_side": 800, "ratio": 1.0, "fast": True, "mode": "best", "seed": 7}
    assert changed.stage("one").params == expected
    assert isinstance(changed.stage("one").params["ratio"], float)
    assert changed.stage("two") == pipeline.stage("two")
    assert pipeline.stage("one").params["max_side"] == 2400


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("one.max_sid=3", "did you mean max_side"),
        ("oen.max_side=3", "did you mean one"),
        ("one.max_side=3.5", "a whole number"),
        ("one.max_side=", "a whole number"),
        ("one.ratio=inf", "a number"),
        ("one.fast=maybe", "true or false"),
        ("one.max_side", "STAGE.PARAMETER=VALUE"),
        ("max_side=3", "STAGE.PARAMETER=VALUE"),
    ],
)
def test_a_wrong_setting_is_explained(setting: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(parse_pipeline(GOOD, "tiny.yaml"), [setting])
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(UsageError) as caught:
        with_preset(parse_pipeline(GOOD, "tiny.yaml"), "drat")
    assert "draft" in caught.value.hint


def test_a_ladder_keeps_earlier_rungs_and_multiplies_the_original() -> None:
    one = parse_pipeline(GOOD, "tiny.yaml").stage("one")
    assert climb(one, one.on_memory, 0, one.params) == (one.params, None)
    assert climb(one, one.on_memory, 1, one.params)[1] == 1
    params, threads = climb(one, one.on_memory, 3, one.params)
    assert (params["max_side"], params["fast"], threads) == (1200, True, 1)


def test_shipped_pipelines_load_and_their_presets_apply() -> None:
    assert "embedded" in shipped_pipelines()
    for name in shipped_pipelines():
        pipeline = find_pipeline(name)
        assert pipeline.name == name
        for preset in pipeline.presets:
            with_preset(pipeline, preset)


@pytest.mark.parametrize("name", shipped_pipelines())
def test_every_stage_foretells_its_memory_time_and_disk(name: str) -> None:
    for stage in find_pipeline(name).stages:
        assert stage.memory.base_mb > 0, stage.name
        assert stage.time.base_s > 0, stage.name
        assert stage.disk != DiskModel(), stage.name


def test_a_pipeline_of_the_user_is_found_by_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(textwrap.dedent(GOOD), encoding="utf-8")
    assert find_pipeline(str(file)).name == "tiny"
    with pytest.raises(UsageError, match="cannot read"):
        load_pipeline(tmp_path / "none.yaml")
    with pytest.raises(UsageError) as caught:
        find_pipeline("embeded")
    assert "did you mean embedded" in caught.value.hint
