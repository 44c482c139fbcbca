"""Whether a worker may take jobs now: it rests after a fault of its machine, longer each time.

Pure but for the clock and the chance that it is given. There are two kinds of rest. `Readiness` is
that of the whole worker, after a fault that any job would meet, such as a full disk. `PassedOver`
is about single jobs, which ask for what this machine has not; others are taken meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_REST_S = 600.0
LONGEST_PASS_S = 3600.0
"""A job that fits nobody is looked at once an hour; `remote/queue/refusals.py` counts."""


@dataclass(frozen=True, kw_only=True)
class BackOff:
    """Pauses that double up to `longest_s`, each times 0.5 to 1.5, so that no two workers that met
    the same fault come back together."""

    first_s: float
    longest_s: float
    chance: Callable[[], float] = random.random

    def pause_s(self, faults: int) -> float:
        """After the fault number `faults`, counted from 1, since things went well."""
        doubled = self.first_s * 2.0 ** min(faults - 1, 30)
        return min(doubled, self.longest_s) * (0.5 + self.chance())


class Readiness:
    """Ready, or resting for a reason. The end of a rest is a trial, not a promise."""

    def __init__(self, back_off: BackOff, clock: Callable[[], float]) -> None:
        self._back_off, self._clock = back_off, clock
        self._faults, self._until = 0, 0.0
        self.reason = ""
        """Why it is not ready; "" where it is."""

    def fault(self, reason: str) -> float:
        """The machine cannot work; how long to rest, in seconds."""
        self._faults += 1
        self.reason = reason
        pause = self._back_off.pause_s(self._faults)
        self._until = self._clock() + pause
        return pause

    def may_try(self) -> bool:
        """Whether it is ready, or has rested long enough to look again."""
        return not self.reason or self._clock() >= self._until

    def passes(self) -> None:
        """What was looked at is in order. The next fault still means a longer rest than the last:
        a machine that looks well and fails every job must come to rest, too."""
        self.reason = ""

    @property
    def on_trial(self) -> bool:
        """Whether it rested and has not shown since that it works."""
        return self._faults > 0

    def well(self) -> None:
        """A job went as far as it could: the machine works."""
        self._faults, self.reason = 0, ""


@dataclass
class _Passed:
    times: int = 0
    until: float = 0.0


class PassedOver:
    """Jobs that this worker leaves to others for a while."""

    def __init__(self, back_off: BackOff, clock: Callable[[], float]) -> None:
        self._back_off, self._clock = back_off, clock
        self._jobs: dict[str, _Passed] = {}

    def add(self, job: str) -> float:
        """Leave `job` alone; for how many seconds."""
        passed = self._jobs.setdefault(job, _Passed())
        passed.times += 1
        pause = self._back_off.pause_s(passed.times)
        passed.until = self._clock() + pause
        self._forget()
        return pause

    def hold(self, job: str, seconds: float) -> None:
        """Leave `job` alone for so long, whatever was before."""
        self._jobs.setdefault(job, _Passed()).until = self._clock() + seconds

    def release(self, job: str) -> None:
        """It may be looked at again."""
        self._jobs.pop(job, None)

    def holds(self, job: str) -> bool:
        """Whether `job` is not to be looked at yet."""
        passed = self._jobs.get(job)
        return passed is not None and self._clock() < passed.until

    def _forget(self) -> None:
        """Jobs that were not seen again long after their time: others have them, or they ended."""
        old = self._clock() - 4 * self._back_off.longest_s
        self._jobs = {job: passed for job, passed in self._jobs.items() if passed.until > old}
