"""Which stages start now, and how: pure decisions under one budget of memory and cores.

The same rules serve the stages of one run and those of many runs side by side:

- Admission: the predictions of all running stages never add up to more than the budget.
- Quality is reduced only where the whole budget could not hold the stage: on a busy machine it
  waits, or runs with fewer threads.
- No starvation: a stage that was passed over MAX_PASSED_OVER times lets nothing more start before
  it; so the machine drains until it fits.
- Cores are shared out among the stages that memory lets run side by side: two stages with one
  thread each do more than one after the other with two.
- A stage whose memory nobody knows, because it went far above its prediction, runs alone. So does
  one that fits in no other way, where the budget may stretch.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

MAX_PASSED_OVER = 4
K = TypeVar("K", bound=Hashable)
"""What names a task: a TaskKey in the runner, the key of a job's marker in a worker."""


@dataclass(frozen=True, kw_only=True)
class TaskKey:
    """A stage among those of all runs."""

    run: int
    """The number of its run."""
    stage: str


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What all running stages together may use."""

    memory_bytes: int
    cores: int
    stretch_bytes: int = 0
    """What one stage may use alone where no cheaper way fits `memory_bytes`; 0: nothing more."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to run a stage; `rung` 0 is full quality, higher ones are cheaper."""

    rung: int
    threads: int
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Task(Generic[K]):
    """A stage of a run that has not started."""

    key: K
    """Unique over all runs."""
    needs: frozenset[K] = frozenset()
    """Keys of the tasks that must be done before."""
    options: tuple[Option, ...]
    """From the best to the cheapest: rungs ascending, threads descending."""
    passed_over: int = 0
    alone: bool = False
    """It may run only while nothing else does: what it will use is not known."""


@dataclass(frozen=True, kw_only=True)
class Start(Generic[K]):
    """Start this task so; it may use up to `grant_bytes`."""

    key: K
    option: Option
    grant_bytes: int
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Refuse(Generic[K]):
    """Even alone and at its cheapest the task needs more than the budget."""

    key: K
    needed_bytes: int


Decision: TypeAlias = Start[K] | Refuse[K]


@dataclass(frozen=True, kw_only=True)
class State(Generic[K]):
    """Everything that a decision depends on."""

    budget: Budget
    waiting: tuple[Task[K], ...] = ()
    """By seniority: the first comes first."""
    running: Mapping[K, Option] = field(default_factory=dict)
    """With what is set aside for each: for one that runs alone, the whole budget."""
    room_bytes: int | None = None
    """What other programs of this machine leave for new stages; None: more than the budget."""
    done: frozenset[K] = frozenset()

    def finish(self, key: K) -> State[K]:
        """`key` ended well."""
        return replace(self._without(key), done=self.done | {key})

    def again(self, task: Task[K]) -> State[K]:
        """A running task ended badly and is to run once more, as `task` says; it keeps its turn."""
        return replace(self._without(task.key), waiting=(task, *self.waiting))

    def skip(self, key: K) -> State[K]:
        """A waiting task turned out to be done already."""
        waiting = tuple(task for task in self.waiting if task.key != key)
        return replace(self, waiting=waiting, done=self.done | {key})

    def with_options(self, options: Mapping[K, tuple[Option, ...]]) -> State[K]:
        """Waiting tasks with new predictions."""
        waiting = tuple(
            replace(task, options=options.get(task.key, task.options)) for task in self.waiting
        )
        return replace(self, waiting=waiting)

    def drop(self, keys: frozenset[K]) -> State[K]:
        """Forget tasks, such as those of a run that failed."""
        waiting = tuple(task for task in self.waiting if task.key not in keys)
        running = {key: option for key, option in self.running.items() if key not in keys}
        return replace(self, waiting=waiting, running=running)

    def _without(self, key: K) -> State[K]:
        return replace(self, running={k: o for k, o in self.running.items() if k != key})

    def ready(self) -> Iterator[Task[K]]:
        """Waiting tasks whose needs are done."""
        return (task for task in self.waiting if task.needs <= self.done)


def decide(state: State[K]) -> tuple[tuple[Decision[K], ...], State[K]]:
    """What to do now, and the state once it is done. Nothing decided means: wait."""
    decisions: list[Decision[K]] = []
    free = _Free(state)
    passed: set[K] = set()
    ready = [(task, ways_on(task, state.budget)) for task in state.ready()]
    for number, (task, ways) in enumerate(ready):
        if not ways:
            needed = min(option.memory_bytes for option in task.options)
            decisions.append(Refuse(key=task.key, needed_bytes=needed))
            continue
        start = free.start(task, ways, [others for _, others in ready[number:] if others])
        if start is None:
            if task.passed_over >= MAX_PASSED_OVER:
                break
            passed.add(task.key)
            continue
        if len(ready) == 1 and not start.alone:
            start = replace(start, grant_bytes=max(free.memory_bytes, start.grant_bytes))
        decisions.append(start)
        free.take(start)
    leaving = {made.key for made in decisions}
    overtaken = passed if any(isinstance(made, Start) for made in decisions) else set()
    waiting = tuple(
        replace(task, passed_over=task.passed_over + (task.key in overtaken))
        for task in state.waiting
        if task.key not in leaving
    )
    return tuple(decisions), replace(state, waiting=waiting, running=free.running)


class _Free(Generic[K]):
    """What is left to give while a decision is made."""

    def __init__(self, state: State[K]) -> None:
        self.budget = state.budget
        self.running = dict(state.running)
        self.memory_bytes = state.budget.memory_bytes - sum(
            option.memory_bytes for option in state.running.values()
        )
        if state.room_bytes is not None:
            self.memory_bytes = min(self.memory_bytes, state.room_bytes)
        self.cores = state.budget.cores - sum(o.threads for o in state.running.values())

    def start(
        self, task: Task[K], ways: Sequence[Option], contenders: Sequence[Sequence[Option]]
    ) -> Start[K] | None:
        """How `task` starts now, if it can; `contenders` are its ways and those of all after it."""
        stretched = min(way.memory_bytes for way in ways) > self.budget.memory_bytes
        if task.alone or stretched:
            if self.running:
                return None
            grant = max(self.budget.memory_bytes, ways[0].memory_bytes)
            return Start(key=task.key, option=ways[0], grant_bytes=grant, alone=True)
        able = [o for o in ways if o.memory_bytes <= self.memory_bytes]
        able = [o for o in able if o.threads <= self.cores]
        if not able:
            return None
        fair = self.fair_cores(contenders)
        option = next((o for o in able if o.threads <= fair), able[-1])
        return Start(key=task.key, option=option, grant_bytes=option.memory_bytes)

    def fair_cores(self, contenders: Sequence[Sequence[Option]]) -> int:
        """Threads for the next stage, so that those which memory allows beside it get some."""
        left, sharers = self.memory_bytes, 0
        for ways in contenders:
            least = min(way.memory_bytes for way in ways)
            if least <= left:
                left -= least
                sharers += 1
        return max(1, self.cores // max(1, sharers))

    def take(self, start: Start[K]) -> None:
        """Set aside what `start` was given."""
        held = start.option
        if start.alone:
            memory = max(self.budget.memory_bytes, held.memory_bytes)
            held = replace(held, memory_bytes=memory, threads=self.budget.cores)
        self.running[start.key] = held
        self.memory_bytes -= held.memory_bytes
        self.cores -= held.threads


def ways_on(task: Task[K], budget: Budget) -> tuple[Option, ...]:
    """The options of the best rung that an idle machine could hold; () if it holds none.

    Above the budget only the cheapest option of all is one, where the budget may stretch so far.
    """
    able = [
        option
        for option in task.options
        if option.memory_bytes <= budget.memory_bytes and option.threads <= budget.cores
    ]
    if not able:
        cheapest = min(task.options, key=lambda option: option.memory_bytes)
        return (cheapest,) if cheapest.memory_bytes <= budget.stretch_bytes else ()
    best = min(option.rung for option in able)
    return tuple(option for option in able if option.rung == best)
