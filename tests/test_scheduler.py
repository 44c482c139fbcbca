"""The scheduler's promises, on a thousand random workloads and without a process."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from insaat_cli.scheduler import (
    MAX_PASSED_OVER,
    Budget,
    Option,
    Refuse,
    Start,
    State,
    Task,
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


def test_quality_is_given_up_only_where_the_whole_budget_is_too_small() -> None:
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


def random_workload(random: Random) -> tuple[Budget, tuple[Task, ...]]:
    budget = Budget(memory_bytes=random.randint(50, 150), cores=random.randint(1, 8))
    tasks: list[Task] = []
    for run in range(random.randint(1, 5)):
        names: list[str] = []
        for number in range(random.randint(1, 6)):
            needs = random.sample(names, random.randint(0, len(names)))
            options = []
            memory = random.randint(1, 200)
            for rung in range(random.randint(1, 3)):
                for threads in range(random.randint(1, 4), 0, -1):
                    options.append(option(memory * (threads + 2) // 3, threads, rung))
                memory = memory * 2 // 3 + 1
            names.append(f"{run}/{number}")
            tasks.append(Task(key=names[-1], needs=frozenset(needs), options=tuple(options)))
    return budget, tuple(tasks)


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 2**32))
def test_budget_is_kept_and_every_run_ends(seed: int) -> None:
    random = Random(seed)
    budget, tasks = random_workload(random)
    by_key = {each.key: each for each in tasks}
    failures = set(random.sample(sorted(by_key), min(2, len(by_key))))
    state = State(budget=budget, waiting=tasks)
    refused: set[str] = set()
    for _ in range(1000):
        decisions, state = decide(state)
        for made in decisions:
            if isinstance(made, Refuse):
                run = made.key.split("/")[0]
                state = state.drop(frozenset(key for key in by_key if key.startswith(f"{run}/")))
                refused.add(run)
            else:
                assert made.grant_bytes >= made.option.memory_bytes
        assert sum(o.memory_bytes for o in state.running.values()) <= budget.memory_bytes
        assert sum(o.threads for o in state.running.values()) <= budget.cores
        if not state.running and not decisions:
            break
        if state.running:
            key = random.choice(sorted(state.running))
            # Some end badly once, and are tried again.
            state = state.again(by_key[key]) if key in failures else state.finish(key)
            failures.discard(key)
    assert not state.waiting
    assert not state.running
    for ended in tasks:
        if ended.key.split("/")[0] not in refused:
            assert ended.key in state.done
            assert ways_on(ended, budget)
