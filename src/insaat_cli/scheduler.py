"""Which stages start now, and how: pure decisions under one budget of memory and cores.

The same rules serve the stages of one run and those of many runs side by side:

- Admission: the predictions of all running stages never add up to more than the budget.
- Quality is given up only where the whole budget could not hold the stage: on a busy machine it
  waits, or runs with fewer threads.
- No starvation: a stage that was passed over MAX_PASSED_OVER times lets nothing more start before
  it; so the machine drains until it fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

MAX_PASSED_OVER = 4


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What all running stages together may use."""

    memory_bytes: int
    cores: int


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to run a stage; `rung` 0 is full quality, higher ones are cheaper."""

    rung: int
    threads: int
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """A stage of a run that has not started."""

    key: str
    """Unique over all runs."""
    needs: frozenset[str] = frozenset()
    """Keys of the tasks that must be done before."""
    options: tuple[Option, ...]
    """From the best to the cheapest: rungs ascending, threads descending."""
    passed_over: int = 0


@dataclass(frozen=True, kw_only=True)
class Start:
    """Start this task so; it may use up to `grant_bytes`."""

    key: str
    option: Option
    grant_bytes: int


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Even alone and at its cheapest the task needs more than the budget."""

    key: str
    needed_bytes: int


Decision = Start | Refuse


@dataclass(frozen=True, kw_only=True)
class State:
    """Everything that a decision depends on."""

    budget: Budget
    waiting: tuple[Task, ...] = ()
    """By seniority: the first comes first."""
    running: Mapping[str, Option] = field(default_factory=dict)
    done: frozenset[str] = frozenset()

    def finish(self, key: str) -> State:
        """`key` ended well."""
        return replace(self._without(key), done=self.done | {key})

    def again(self, task: Task) -> State:
        """A running task ended badly and is to run once more, as `task` says; it keeps its turn."""
        return replace(self._without(task.key), waiting=(task, *self.waiting))

    def skip(self, key: str) -> State:
        """A waiting task turned out to be done already."""
        waiting = tuple(task for task in self.waiting if task.key != key)
        return replace(self, waiting=waiting, done=self.done | {key})

    def with_options(self, options: Mapping[str, tuple[Option, ...]]) -> State:
        """Waiting tasks with new predictions."""
        waiting = tuple(
            replace(task, options=options.get(task.key, task.options)) for task in self.waiting
        )
        return replace(self, waiting=waiting)

    def drop(self, keys: frozenset[str]) -> State:
        """Forget tasks, such as those of a run that failed."""
        waiting = tuple(task for task in self.waiting if task.key not in keys)
        running = {key: option for key, option in self.running.items() if key not in keys}
        return replace(self, waiting=waiting, running=running)

    def _without(self, key: str) -> State:
        return replace(self, running={k: o for k, o in self.running.items() if k != key})

    def ready(self) -> Iterator[Task]:
        """Waiting tasks whose needs are done."""
        return (task for task in self.waiting if task.needs <= self.done)


def decide(state: State) -> tuple[tuple[Decision, ...], State]:
    """What to do now, and the state once it is done. Nothing decided means: wait."""
    decisions: list[Decision] = []
    free_bytes = state.budget.memory_bytes - sum(o.memory_bytes for o in state.running.values())
    free_cores = state.budget.cores - sum(o.threads for o in state.running.values())
    running = dict(state.running)
    passed: set[str] = set()
    leaving: set[str] = set()
    ready = list(state.ready())
    for task in ready:
        ways = ways_on(task, state.budget)
        if not ways:
            needed = min(option.memory_bytes for option in task.options)
            decisions.append(Refuse(key=task.key, needed_bytes=needed))
            leaving.add(task.key)
            continue
        fitting = [o for o in ways if o.memory_bytes <= free_bytes and o.threads <= free_cores]
        if not fitting:
            if task.passed_over >= MAX_PASSED_OVER:
                break
            passed.add(task.key)
            continue
        option = fitting[0]
        alone = len(ready) == 1
        grant = free_bytes if alone else option.memory_bytes
        decisions.append(Start(key=task.key, option=option, grant_bytes=grant))
        leaving.add(task.key)
        running[task.key] = option
        free_bytes -= option.memory_bytes
        free_cores -= option.threads
    overtaken = passed if any(isinstance(made, Start) for made in decisions) else set()
    waiting = tuple(
        replace(task, passed_over=task.passed_over + (task.key in overtaken))
        for task in state.waiting
        if task.key not in leaving
    )
    return tuple(decisions), replace(state, waiting=waiting, running=running)


def ways_on(task: Task, budget: Budget) -> tuple[Option, ...]:
    """The options of the best rung that an idle machine could hold; () if it holds none."""
    able = [
        option
        for option in task.options
        if option.memory_bytes <= budget.memory_bytes and option.threads <= budget.cores
    ]
    best = min((option.rung for option in able), default=0)
    return tuple(option for option in able if option.rung == best)
