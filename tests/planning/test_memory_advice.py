"""What plans and refusals say about memory holds once it is done: properties of whole runs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from tests.fakes.attempts import Remembered, StartedError, pretended
from tests.fakes.pipelines import FakePhoto, Heard, fake_pipeline, fake_plan, fake_stage

from insaat_cli.errors import MemoryLimitError
from insaat_cli.pipeline.definition import Pipeline
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.pipeline.parameters import Params
from insaat_cli.pipeline.settings import with_preset
from insaat_cli.planning.planner import changes
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.runner.events import RunPlanned
from insaat_cli.runner.loop import run_pipeline

MB = 1_000_000
STEP_MB = 10
few = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@dataclass(frozen=True, kw_only=True)
class Carried:
    """How the stages of a run ran."""

    params: Mapping[str, Params]
    peaks: Mapping[str, int]


def asked_for(plan: RunPlan) -> dict[str, Params]:
    return {stage.name: stage.params for stage in plan.pipeline.stages}


def carried_out(plan: RunPlan, history: Remembered) -> Carried:
    """Run it in a workspace of its own, without processes; `history` does not hear of it."""
    return remembered(plan, history.copy(), 1.0)


def remembered(plan: RunPlan, history: Remembered, share_used: float) -> Carried:
    """The same, and `history` does."""
    with tempfile.TemporaryDirectory() as folder, pretended(share_used) as attempts:
        plan = replace(plan, workspace=Path(folder) / "out")
        run_pipeline(plan, Heard(), history=history)
        specs = [attempt.spec for attempt in attempts]
    assert sorted(spec.stage.name for spec in specs) == sorted(asked_for(plan)), "each once"
    return Carried(
        params={spec.stage.name: spec.params for spec in specs},
        peaks={spec.stage.name: spec.option.memory_bytes for spec in specs},
    )


def refusal(plan: RunPlan, history: Remembered) -> str | None:
    """The advice of a run that is refused; None if it would start."""
    with tempfile.TemporaryDirectory() as folder, pretended(start=False):
        try:
            run_pipeline(replace(plan, workspace=Path(folder) / "out"), Heard(), history=history)
        except MemoryLimitError as error:
            return error.hint
        except StartedError:
            return None
    raise AssertionError("it neither started nor was refused")


def advised(hint: str) -> list[int]:
    """The budgets that a refusal names, bytes."""
    return [int(number) * MB for number in re.findall(r"\b(\d+)M\b", hint)]


def with_budget(plan: RunPlan, budget_bytes: int) -> RunPlan:
    return replace(plan, memory_budget_bytes=budget_bytes, memory_stretch_bytes=0)


@st.composite
def ladders(draw: st.DrawFn) -> list[dict[str, Any]]:
    rungs = [
        {"threads": 1},
        {"max_side": "* 0.7"},
        {"max_side": "* 0.4"},
        {"value": 2, "memory": "* 0.7"},
        {"value": 3},
        {"value": 4, "memory": "* 0.4"},
    ]
    return draw(st.lists(st.sampled_from(rungs), max_size=4))


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Chains of up to five stages, with side branches, sizes handed on, and any ladders."""
    stages: list[dict[str, Any]] = []
    terms = {
        "base_mb": st.integers(20, 200),
        "per_photo_mb": st.integers(0, 20),
        "per_megapixel_mb": st.integers(0, 20),
        "per_photo_megapixel_mb": st.integers(0, 5),
        "per_thread_mb": st.integers(0, 60),
        "per_thread_megapixel_mb": st.integers(0, 20),
    }
    for number in range(draw(st.integers(1, 5))):
        earlier = [stage["name"] for stage in stages]
        needs = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        entry: dict[str, Any] = {
            "memory": draw(st.fixed_dictionaries(terms)),
            "on_memory": draw(ladders()),
            "params": {"max_side": draw(st.sampled_from([800, 2000, 6000]))},
        }
        if needs and draw(st.booleans()):
            entry["size_from"] = draw(st.sampled_from(needs))
        stages.append(fake_stage(f"s{number}", needs, **entry))
    return fake_pipeline(*stages)


@st.composite
def plans(draw: st.DrawFn) -> RunPlan:
    shipped = st.sampled_from(["draft", "normal", "high"]).map(
        lambda preset: with_preset(find_pipeline("embedded"), preset)
    )
    count = draw(st.integers(3, 40))
    width, height = draw(st.sampled_from([(640, 480), (4000, 3000), (3000, 8000)]))
    return fake_plan(
        draw(st.one_of(pipelines(), shipped)),
        Path("/nonexistent"),
        photos=tuple(FakePhoto(f"{n}.jpg", width, height) for n in range(count)),
        memory_budget_bytes=draw(st.integers(64, 1500)) * MB,
        threads=draw(st.sampled_from([1, 2, 4, 16])),
        degrade=draw(st.booleans()),
    )


@st.composite
def histories(draw: st.DrawFn, plan: RunPlan) -> Remembered:
    """What earlier runs of the same photos, with any budget, have left."""
    history = Remembered()
    for share in draw(st.lists(st.sampled_from([0.4, 0.9, 1.3, 2.5]), max_size=2)):
        budget = draw(st.integers(300, 20_000)) * MB
        earlier = replace(with_budget(plan, budget), degrade=True)
        if refusal(earlier, history) is None:
            remembered(earlier, history, share)
    return history


def what_a_refusal_advises_is_enough(data: st.DataObject) -> None:
    plan = data.draw(plans())
    history = data.draw(histories(plan))
    hint = refusal(plan, history)
    assume(hint is not None)
    *lower, full = advised(hint or "")
    assert len(lower) <= 1
    assert carried_out(with_budget(plan, full), history).params == asked_for(plan)
    for budget in lower:
        assert plan.degrade
        assert plan.memory_budget_bytes < budget < full
        assert carried_out(with_budget(plan, budget), history).params != asked_for(plan)


def what_a_refusal_advises_is_not_too_much(data: st.DataObject) -> None:
    """Nobody should buy memory for nothing: one step less would not do."""
    plan = data.draw(plans())
    history = data.draw(histories(plan))
    hint = refusal(plan, history)
    assume(hint is not None)
    *lower, full = advised(hint or "")
    less = with_budget(plan, full - STEP_MB * MB)
    assert refusal(replace(less, degrade=False), history) is not None
    for budget in lower:
        assert refusal(with_budget(plan, budget - STEP_MB * MB), history) is not None


def a_run_goes_as_its_plan_says(data: st.DataObject) -> None:
    """Settings, and the most that any stage takes, are those of --dry-run."""
    plan = data.draw(plans())
    history = data.draw(histories(plan))
    heard = Heard()
    run_pipeline(replace(plan, dry_run=True), heard, history=history)
    planned = {event.stage: event for event in heard.of(RunPlanned)}
    refused = refusal(plan, history) is not None
    assert refused == (not all(event.fits for event in planned.values()))
    assume(not refused)
    done = carried_out(plan, history)
    lowered = {name: changes(params, done.params[name]) for name, params in asked_for(plan).items()}
    assert lowered == {name: dict(event.changes) for name, event in planned.items()}
    for name, event in planned.items():
        assert done.peaks[name] <= event.predicted_bytes <= plan.memory_budget_bytes


properties = pytest.mark.parametrize(
    "holds",
    [
        what_a_refusal_advises_is_enough,
        what_a_refusal_advises_is_not_too_much,
        a_run_goes_as_its_plan_says,
    ],
)


@properties
@few
@given(st.data())
def test_of_some_plans(holds: Callable[[st.DataObject], None], data: st.DataObject) -> None:
    holds(data)


@pytest.mark.long
@properties
@settings(few, max_examples=200)
@given(st.data())
def test_of_many_plans(holds: Callable[[st.DataObject], None], data: st.DataObject) -> None:
    holds(data)


@pytest.mark.parametrize(
    ("preset", "advice"), [("normal", "--preset draft"), ("draft", "--set resize.max_side=450")]
)
def test_the_preset_in_use_is_not_what_to_try(tmp_path: Path, preset: str, advice: str) -> None:
    plan = fake_plan(
        with_preset(find_pipeline("embedded"), preset),
        tmp_path / "out",
        photos=tuple(FakePhoto(f"{n}.jpg", 3072, 2048) for n in range(6)),
        memory_budget_bytes=200 * MB,
        preset=preset,
    )
    hint = refusal(plan, Remembered())
    assert hint is not None and f"use smaller photos ({advice})" in hint


def test_the_case_that_was_seen(tmp_path: Path) -> None:
    """200M was refused with "255M would do", and with 255M it was refused again."""
    plan = fake_plan(
        with_preset(find_pipeline("embedded"), "draft"),
        tmp_path / "out",
        photos=tuple(FakePhoto(f"{n}.jpg", 3072, 2048) for n in range(6)),
        memory_budget_bytes=200 * MB,
    )
    history = Remembered()
    hint = refusal(plan, history)
    assert hint is not None
    lower, full = advised(hint)
    assert f"{lower // MB}M is enough with less detail, {full // MB}M with full" in hint
    assert carried_out(with_budget(plan, full), history).params == asked_for(plan)
    assert carried_out(with_budget(plan, lower), history).params != asked_for(plan)
