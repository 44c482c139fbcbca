"""What is done when memory gets short, without a process."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from insaat_cli.machine.available_memory import Pressure
from insaat_cli.planning.scheduler import TaskKey
from insaat_cli.runner.memory_policy import Act, Measure, Usage, measures


def usage(key: str, used: int, granted: int, **fields: bool) -> Usage:
    return Usage(key=TaskKey(run=0, stage=key), used_bytes=used, granted_bytes=granted, **fields)


def measure(act: Act, stage: str) -> Measure:
    return Measure(act, TaskKey(run=0, stage=stage))


def done(*usages: Usage, budget: int = 1000, pressure: Pressure = Pressure.NONE) -> list[Measure]:
    return list(measures(usages, own_bytes=0, budget_bytes=budget, pressure=pressure))


def test_stages_within_their_share_are_left_alone_however_full_the_budget() -> None:
    assert done(usage("a", 500, 500), usage("b", 490, 490)) == []


def test_one_above_its_share_is_named_once() -> None:
    assert done(usage("a", 150, 100), usage("b", 90, 100)) == [measure(Act.WARN, "a")]
    assert done(usage("a", 150, 100, warned=True), usage("b", 90, 100)) == []


def test_the_one_at_fault_is_paused_then_stopped_though_others_are_newer() -> None:
    liar = usage("liar", 600, 200, warned=True)
    good = usage("good", 300, 300)
    assert done(liar, good) == [measure(Act.PAUSE, "liar")]
    assert done(usage("liar", 660, 200, warned=True, paused=True), good) == [
        measure(Act.STOP, "liar")
    ]


def test_what_was_paused_goes_on_when_there_is_room() -> None:
    paused = usage("b", 100, 300, paused=True)
    assert done(usage("a", 300, 500), paused) == [measure(Act.RESUME, "b")]
    assert done(usage("a", 300, 700), paused) == []
    liar = usage("b", 400, 300, paused=True, warned=True)
    assert done(usage("a", 100, 100), liar) == []
    assert done(liar) == [measure(Act.RESUME, "b")]


def test_other_programs_pause_the_newest_and_a_critical_machine_stops_it() -> None:
    both = (usage("a", 100, 100), usage("b", 100, 100))
    assert done(*both, pressure=Pressure.HIGH) == [measure(Act.PAUSE, "b")]
    assert done(*both, pressure=Pressure.CRITICAL) == [measure(Act.STOP, "b")]
    assert done(both[0], pressure=Pressure.HIGH) == []


def test_the_last_one_is_stopped_only_for_something_better() -> None:
    assert done(usage("a", 1100, 1000, warned=True)) == [measure(Act.STOP, "a")]
    assert done(usage("a", 1100, 1000, warned=True, cheaper=False)) == []
    last = usage("a", 1100, 1000, warned=True, cheaper=False)
    assert done(last, pressure=Pressure.CRITICAL) == [measure(Act.STOP, "a")]


USAGES = st.lists(
    st.tuples(st.integers(0, 700), st.integers(1, 700), st.booleans()), min_size=1, max_size=6
)


@settings(max_examples=1000, deadline=None)
@given(USAGES, st.sampled_from(list(Pressure)))
def test_never_more_than_one_change_and_never_a_standstill(
    drawn: list[tuple[int, int, bool]], pressure: Pressure
) -> None:
    usages = [
        usage(str(number), used, granted, paused=paused)
        for number, (used, granted, paused) in enumerate(drawn)
    ]
    changes = [made for made in done(*usages, pressure=pressure) if made.act is not Act.WARN]
    assert len(changes) <= 1
    paused = {each.key for each in usages if each.paused}
    for made in changes:
        assert (made.key in paused) == (made.act is Act.RESUME) or made.act is Act.STOP
        if made.act is Act.PAUSE:
            paused.add(made.key)
    if all(each.paused for each in usages):
        assert changes, "nothing runs, and nothing would ever change"
    else:
        assert len(paused) < len(usages)
