"""Carries out what `watch` decides: warns about stages, pauses, resumes and stops them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from insaat_cli.formatting import size
from insaat_cli.machine.available_memory import AvailableMemory, Pressure
from insaat_cli.planning.scheduler import TaskKey
from insaat_cli.runner.attempt import Attempt
from insaat_cli.runner.memory_policy import Act, Usage, measures

RESERVE_SHARE = 0.03
"""Of what is available, never given to stages."""
OVER = "using {used}, more than the {granted} reserved for it"
CROWDED = "memory is nearly exhausted; this stage uses {used}"
OTHERS = "other programs are using this machine's memory"


class MemoryWatch:
    """The memory of all running stages, against the budget and the machine."""

    def __init__(self, budget_bytes: int, available_memory: AvailableMemory) -> None:
        self.budget_bytes = budget_bytes
        self.available_memory = available_memory
        self._warned: set[Attempt] = set()

    def act(
        self,
        attempts: Mapping[TaskKey, Attempt],
        own_bytes: int,
        can_be_cheaper: Callable[[TaskKey], bool],
    ) -> bool:
        """Do what has to be done now; whether the scheduler should look again.

        `can_be_cheaper` is asked only for a stage above what it was given: the answer is dear.
        """
        looked = self.available_memory.look()
        usages = {}
        for key, attempt in attempts.items():
            used, granted = attempt.child.used_bytes, self._granted(attempt, len(attempts))
            usages[key] = Usage(
                key=key,
                used_bytes=used,
                granted_bytes=granted,
                paused=attempt.paused,
                warned=attempt in self._warned,
                cheaper=used > granted and can_be_cheaper(key),
            )
        pressure = self.available_memory.pressure
        planned = measures(
            list(usages.values()),
            own_bytes=own_bytes,
            budget_bytes=self.budget_bytes,
            pressure=pressure,
        )
        for measure in planned:
            self._carry_out(measure.act, attempts[measure.key], usages[measure.key])
        self._warned &= set(attempts.values())
        return looked

    def room_bytes(self, attempts: Mapping[TaskKey, Attempt]) -> int:
        """What new stages may use: what is available, less what running ones will still take."""
        self.available_memory.look()
        available = self.available_memory.available_bytes
        unclaimed = sum(
            max(0, attempt.spec.option.memory_bytes - attempt.child.used_bytes)
            for attempt in attempts.values()
        )
        return int(available * (1 - RESERVE_SHARE)) - unclaimed

    def _granted(self, attempt: Attempt, running: int) -> int:
        """Alone, a stage may use all; beside others, what it was predicted to need."""
        expected = attempt.spec.option.memory_bytes
        return max(expected, self.budget_bytes) if running == 1 else expected

    def _carry_out(self, act: Act, attempt: Attempt, usage: Usage) -> None:
        words = {"used": size(usage.used_bytes), "granted": size(usage.granted_bytes)}
        if usage.at_fault:
            reason = OVER.format(**words)
        elif self.available_memory.pressure is Pressure.NONE:
            reason = CROWDED.format(**words)
        else:
            reason = OTHERS
        match act:
            case Act.WARN:
                self._warned.add(attempt)
                attempt.warn(reason)
            case Act.PAUSE:
                attempt.pause(reason)
            case Act.RESUME:
                attempt.resume()
            case Act.STOP:
                attempt.stop(reason)
                self.available_memory.forget()
