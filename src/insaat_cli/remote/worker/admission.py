"""Which jobs a worker takes, beside those that it runs: the scheduler's rules, a job for a stage.

A job is to the worker what a stage is to a run: something with a predicted need of memory that
starts where it fits beside the others (see `scheduler`). What it is granted is its own until it
ends; inside the grant, its own scheduler places its stages. So every job keeps its process tree,
its lease and its end to itself.

Cores are treated more lightly than memory: a job that is alone may use all of them, and the next
one starts beside it all the same, because too many threads only slow both down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from insaat_cli.planning.scheduler import Budget, Option, Start, State, Task, decide
from insaat_cli.remote.queue.keys import Marker

WINDOW = 16
"""Queued jobs that are compared at a time; each costs a read the first time it is seen."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one attempt may use."""

    memory_bytes: int
    threads: int


def part_of(whole: Grant, number: int) -> Grant:
    """One of `number` equal shares."""
    return Grant(memory_bytes=whole.memory_bytes // number, threads=max(1, whole.threads // number))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A job to claim, and what to grant it."""

    marker: Marker
    grant: Grant


class Needs(Protocol):
    """What a queued job would use."""

    def task(self, marker: Marker) -> Task[str]:
        """Its key is the marker's; at least one option fits the budget. May raise StoreError."""


class Admission:
    """Pure but for what `needs` reads. A choice is held until `ended` is called with its key."""

    def __init__(self, budget: Budget, needs: Needs) -> None:
        self._needs = needs
        self._cores = budget.cores
        self._state: State[str] = State(budget=budget)

    def choose(self, markers: Sequence[Marker]) -> list[Choice]:
        """The jobs to start now. `markers` come best first; the others wait."""
        found = {marker.key: marker for marker in markers}
        known = [task for task in self._state.waiting if task.key in found]
        names = {task.key for task in known} | set(self._state.running)
        fresh = [marker for marker in markers if marker.key not in names]
        known += [self._needs.task(marker) for marker in fresh[: max(0, WINDOW - len(known))]]
        waiting = tuple(sorted(known, key=lambda task: found[task.key].rank))
        decisions, state = decide(replace(self._state, waiting=self._narrowed(waiting)))
        # Threads are given in full but count as one, so that the next job finds a core.
        running = {key: replace(option, threads=1) for key, option in state.running.items()}
        options = {task.key: task.options for task in waiting}
        self._state = replace(state, running=running).with_options(options)
        return [
            Choice(marker=found[start.key], grant=_grant(start))
            for start in decisions
            if isinstance(start, Start)
        ]

    def ended(self, key: str) -> None:
        """The job of this marker is over, or could not be had."""
        self._state = self._state.drop(frozenset({key}))

    def has_room(self) -> bool:
        """Whether any job at all could start."""
        held = self._state.running
        memory_left = self._state.budget.memory_bytes - self.held_bytes
        return memory_left > 0 and len(held) < self._cores

    @property
    def held_bytes(self) -> int:
        """Memory granted to what runs."""
        return sum(option.memory_bytes for option in self._state.running.values())

    def _narrowed(self, waiting: tuple[Task[str], ...]) -> tuple[Task[str], ...]:
        """Fewer threads for each, the more jobs run."""
        most = max(1, self._cores // (len(self._state.running) + 1))
        return tuple(
            replace(
                task, options=tuple(o for o in task.options if o.threads <= most) or task.options
            )
            for task in waiting
        )


class EqualShares:
    """For `--concurrency N`: every job gets the same part, whatever it is."""

    def __init__(self, number: int, memory_bytes: int, cores: int) -> None:
        part = part_of(Grant(memory_bytes=memory_bytes, threads=cores), number)
        share = Option(rung=0, threads=part.threads, memory_bytes=part.memory_bytes)
        self._options = (share,)
        self.budget = Budget(memory_bytes=share.memory_bytes * number, cores=max(cores, number))

    def task(self, marker: Marker) -> Task[str]:
        return Task(key=marker.key, options=self._options)


def _grant(start: Start[str]) -> Grant:
    memory = start.grant_bytes if start.alone else start.option.memory_bytes
    return Grant(memory_bytes=memory, threads=start.option.threads)
