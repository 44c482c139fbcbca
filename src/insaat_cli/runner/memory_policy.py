"""When memory gets short while stages run: whom to warn about, pause, resume or stop. Pure.

Predictions keep the sum of all stages below the budget. This is for when they are wrong, or when
other programs take what was ours:

- A stage above what it was given is named once.
- Near the budget the newest of those stages is paused (where none is at fault: the newest of all,
  and only because of other programs), so that the others can end and give back what they have.
- At the budget that stage is stopped, to run again later, alone, with a corrected prediction.
- The last one that runs is stopped only where it can be done with less, or where the machine
  itself is about to run out: finishing beside the budget is better than not finishing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from insaat_cli.machine.available_memory import Pressure
from insaat_cli.planning.scheduler import TaskKey

TOLERANCE = 1.05
"""Above its grant times this a stage is at fault."""
PAUSE_SHARE = 0.85
STOP_SHARE = 0.95
ALONE_STOP_SHARE = 1.0


class Act(Enum):
    WARN = "warn"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One running stage as it stands."""

    key: TaskKey
    used_bytes: int
    granted_bytes: int
    paused: bool = False
    warned: bool = False
    cheaper: bool = True
    """Whether it could run with less memory than now."""

    @property
    def at_fault(self) -> bool:
        return self.used_bytes > self.granted_bytes * TOLERANCE

    @property
    def due_bytes(self) -> int:
        """What must be kept for it until it ends."""
        return max(self.used_bytes, self.granted_bytes)


@dataclass(frozen=True)
class Measure:
    """What to do with one stage."""

    act: Act
    key: TaskKey


def measures(
    usages: Sequence[Usage], *, own_bytes: int, budget_bytes: int, pressure: Pressure
) -> Iterator[Measure]:
    """What to do now; `usages` are ordered by start, the newest last. At most one of them is
    paused, resumed or stopped at a time, for each changes what the next should be.
    """
    for usage in usages:
        if usage.at_fault and not usage.warned:
            yield Measure(Act.WARN, usage.key)
    total = own_bytes + sum(usage.used_bytes for usage in usages)
    active = [usage for usage in usages if not usage.paused]
    if len(usages) == 1 and active:
        if _last_must_end(usages[0], total, budget_bytes, pressure):
            yield Measure(Act.STOP, usages[0].key)
    elif usages:
        yield from _beside(usages, active, own_bytes, budget_bytes, pressure)


def _beside(
    usages: Sequence[Usage],
    active: Sequence[Usage],
    own_bytes: int,
    budget_bytes: int,
    pressure: Pressure,
) -> Iterator[Measure]:
    share = (own_bytes + sum(usage.used_bytes for usage in usages)) / budget_bytes
    faulty = any(usage.at_fault for usage in usages)
    if len(usages) > 1 and (pressure is Pressure.CRITICAL or (faulty and share >= STOP_SHARE)):
        yield Measure(Act.STOP, _victim(usages).key)
    elif not active:
        yield Measure(Act.RESUME, usages[0].key)
    elif pressure >= Pressure.HIGH or (faulty and share >= PAUSE_SHARE):
        if len(active) > 1:
            yield Measure(Act.PAUSE, _victim(active).key)
    else:
        yield from _resume(usages, active, own_bytes, budget_bytes)


def _last_must_end(usage: Usage, total: int, budget_bytes: int, pressure: Pressure) -> bool:
    beyond = total > ALONE_STOP_SHARE * budget_bytes and usage.at_fault and usage.cheaper
    return beyond or pressure is Pressure.CRITICAL


def _victim(usages: Sequence[Usage]) -> Usage:
    """The newest of those at fault; else the newest that is paused; else the newest."""
    faulty = [usage for usage in usages if usage.at_fault]
    paused = [usage for usage in usages if usage.paused]
    return (faulty or paused or list(usages))[-1]


def _resume(
    usages: Sequence[Usage], active: Sequence[Usage], own_bytes: int, budget_bytes: int
) -> Iterator[Measure]:
    """The oldest paused stage, if what is promised to the others leaves room for it."""
    due = own_bytes + sum(usage.due_bytes for usage in active)
    held = sum(usage.used_bytes for usage in usages if usage.paused)
    for usage in usages:
        if usage.paused:
            grows = usage.due_bytes - usage.used_bytes
            # Nobody knows how far one at fault will go: it waits until the others have ended.
            if not usage.at_fault and due + held + grows <= PAUSE_SHARE * budget_bytes:
                yield Measure(Act.RESUME, usage.key)
            return
