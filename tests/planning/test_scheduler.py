"""The scheduler's promises, on a thousand random workloads and without a process."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from insaat_cli.planning.scheduler import (
    MAX_PASSED_OVER,
    Budget,
    Option,
    Refuse,
    Start,
    State,
    Task,
    TaskKey,
    decide,
    ways_on,
)

BUDGET = Budget(memory_bytes=100, cores=4)


def option(memory: int, threads: int = 1, rung: int = 0) -> Option:
    return Option(rung=rung, threads=threads, memory_bytes=memory)


def task(key: str, *options: Option, needs: tuple[str, ...] = ()) -> Task:
    return Task(key=key, needs=frozenset(needs), options=options)


def starts(decisions: tuple[object, ...]) -> dict[str, Start]:
    return {made.key: made for made in decisions if isinstance(made, Start)}


def test_a_stage_waits_for_its_needs() -> None:
    state = State(
        budget=BUDGET, waiting=(task("a", option(10)), task("b", option(10), needs=("a",)))
    )
    decisions, state = decide(state)
    assert list(starts(decisions)) == ["a"]
    decisions, state = decide(state)
    assert decisions == ()
    decisions, state = decide(state.finish("a"))
    assert list(starts(decisions)) == ["b"]


def test_alone_it_is_granted_all_that_is_free() -> None:
    decisions, _ = decide(State(budget=BUDGET, waiting=(task("a", option(30)),)))
    assert starts(decisions)["a"].grant_bytes == 100
    two = (task("a", option(30)), task("b", option(40)))
    decisions, _ = decide(State(budget=BUDGET, waiting=two))
    assert {key: made.grant_bytes for key, made in starts(decisions).items()} == {"a": 30, "b": 40}


def test_fewer_threads_beside_others_but_never_lower_quality() -> None:
    ways = (option(80, 4), option(50, 1), option(10, 1, rung=1))
    beside = State(budget=BUDGET, waiting=(task("a", *ways),), running={"x": option(45, 1)})
    decisions, _ = decide(beside)
    assert starts(decisions)["a"].option == option(50, 1)
    crowded = replace(beside, running={"x": option(60, 1)})
    assert decide(crowded)[0] == ()


def test_quality_is_reduced_only_where_the_whole_budget_is_too_small() -> None:
    big = task(
        "a", option(300), option(150, 1, rung=1), option(90, 1, rung=2), option(9, 1, rung=3)
    )
    decisions, _ = decide(State(budget=BUDGET, waiting=(big,)))
    assert starts(decisions)["a"].option.rung == 2
    decisions, state = decide(State(budget=BUDGET, waiting=(task("b", option(300), option(101)),)))
    assert decisions == (Refuse(key="b", needed_bytes=101),)
    assert state.waiting == ()


def test_a_large_stage_is_not_starved_by_small_ones() -> None:
    large = task("large", option(95))
    small = tuple(task(f"s{n}", option(30)) for n in range(60))
    state = State(budget=BUDGET, waiting=(large, *small), running={"old": option(30)})
    overtaken = 0
    for _ in range(200):
        decisions, state = decide(state)
        if "large" in starts(decisions):
            break
        overtaken += len(starts(decisions))
        state = state.finish(next(iter(state.running)))
    assert "large" in state.running
    assert overtaken <= 3 * (MAX_PASSED_OVER + 1)


def test_cores_are_shared_out_among_those_that_fit_beside_each_other() -> None:
    ways = (option(40, 4), option(30, 3), option(20, 2), option(10, 1))
    two = State(budget=BUDGET, waiting=(task("a", *ways), task("b", *ways)))
    found = {key: made.option.threads for key, made in starts(decide(two)[0]).items()}
    assert found == {"a": 2, "b": 2}
    five = State(budget=BUDGET, waiting=tuple(task(str(n), *ways) for n in range(5)))
    assert [made.option.threads for made in starts(decide(five)[0]).values()] == [1, 1, 1, 1]
    large = (option(90, 4), option(80, 2), option(70, 1))
    no_room_for_both = State(budget=BUDGET, waiting=(task("a", *large), task("b", *large)))
    assert starts(decide(no_room_for_both)[0])["a"].option.threads == 4


def test_alone_means_nothing_before_nor_beside_it() -> None:
    lonely = replace(task("lonely", option(10)), alone=True)
    busy = State(budget=BUDGET, waiting=(lonely, task("b", option(10))), running={"x": option(10)})
    decisions, state = decide(busy)
    assert list(starts(decisions)) == ["b"]
    decisions, state = decide(state.finish("x").finish("b"))
    assert starts(decisions)["lonely"].alone
    assert starts(decisions)["lonely"].grant_bytes == 100
    state = replace(state, waiting=(task("c", option(1)),))
    assert decide(state)[0] == ()
    assert list(starts(decide(state.finish("lonely"))[0])) == ["c"]


def test_one_that_waits_to_be_alone_is_not_starved() -> None:
    lonely = replace(task("lonely", option(10)), alone=True)
    small = tuple(task(f"s{n}", option(30)) for n in range(60))
    state = State(budget=BUDGET, waiting=(lonely, *small), running={"old": option(30)})
    for _ in range(60):
        decisions, state = decide(state)
        if "lonely" in starts(decisions):
            break
        state = state.finish(next(iter(state.running)))
    assert list(state.running) == ["lonely"]
    assert len(state.done) < 20


def test_a_default_budget_stretches_for_one_alone_in_its_cheapest_way() -> None:
    stretching = replace(BUDGET, stretch_bytes=150)
    ways = (option(200, 2), option(140, 1, rung=1), option(120, 1, rung=2))
    state = State(budget=stretching, waiting=(task("a", *ways), task("b", option(10))))
    decisions, _ = decide(state)
    assert starts(decisions)["a"].option == option(120, 1, rung=2)
    assert starts(decisions)["a"].alone
    assert list(starts(decisions)) == ["a"]
    tight = replace(state, budget=replace(BUDGET, stretch_bytes=110))
    assert isinstance(decide(tight)[0][0], Refuse)


def test_what_other_programs_leave_is_a_limit_but_no_reason_to_refuse() -> None:
    state = State(budget=BUDGET, waiting=(task("a", option(50)), task("b", option(20))))
    decisions, after = decide(replace(state, room_bytes=30))
    assert list(starts(decisions)) == ["b"]
    assert [each.key for each in after.waiting] == ["a"]


def random_workload(random: Random) -> tuple[Budget, tuple[Task[TaskKey], ...]]:
    memory = random.randint(50, 150)
    stretch = random.choice([0, memory + 30])
    budget = Budget(memory_bytes=memory, cores=random.randint(1, 8), stretch_bytes=stretch)
    tasks: list[Task[TaskKey]] = []
    for run in range(random.randint(1, 5)):
        names: list[TaskKey] = []
        for number in range(random.randint(1, 6)):
            needs = random.sample(names, random.randint(0, len(names)))
            options = []
            memory = random.randint(1, 200)
            for rung in range(random.randint(1, 3)):
                for threads in range(random.randint(1, 4), 0, -1):
                    options.append(option(memory * (threads + 2) // 3, threads, rung))
                memory = memory * 2 // 3 + 1
            names.append(TaskKey(run=run, stage=str(number)))
            tasks.append(
                Task(
                    key=names[-1],
                    needs=frozenset(needs),
                    options=tuple(options),
                    alone=random.random() < 0.1,
                )
            )
    return budget, tuple(tasks)


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 2**32))
def test_budget_is_kept_and_every_run_ends(seed: int) -> None:
    random = Random(seed)
    budget, tasks = random_workload(random)
    by_key = {each.key: each for each in tasks}
    failures = set(random.sample(sorted(by_key, key=str), min(2, len(by_key))))
    state = State(budget=budget, waiting=tasks)
    refused: set[int] = set()
    for _ in range(1000):
        room = random.choice([None, random.randint(0, 150)]) if state.running else None
        decisions, state = decide(replace(state, room_bytes=room))
        for made in decisions:
            if isinstance(made, Refuse):
                run = made.key.run
                state = state.drop(frozenset(key for key in by_key if key.run == run))
                refused.add(run)
            else:
                assert made.grant_bytes >= made.option.memory_bytes
        if len(state.running) > 1:
            assert sum(o.memory_bytes for o in state.running.values()) <= budget.memory_bytes
        for alone in state.running.values():
            assert alone.memory_bytes <= max(budget.memory_bytes, budget.stretch_bytes)
        assert sum(o.threads for o in state.running.values()) <= budget.cores
        if not state.running and not decisions:
            break
        if state.running:
            key = random.choice(sorted(state.running, key=str))
            # Some end badly once, and are tried again.
            state = state.again(by_key[key]) if key in failures else state.finish(key)
            failures.discard(key)
    assert not state.waiting
    assert not state.running
    for ended in tasks:
        if ended.key.run not in refused:
            assert ended.key in state.done
            assert ways_on(ended, budget)
