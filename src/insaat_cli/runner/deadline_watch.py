"""Notices stages that hang: what they do is looked at every second, and the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from insaat_cli.errors import TimedOutError
from insaat_cli.formatting import duration
from insaat_cli.planning.scheduler import TaskKey
from insaat_cli.runner.attempt import Attempt

LOOK_S = 1.0
LONGEST_LOOK_S = 10.0
"""More than this between two looks is time in which we were stopped or asleep ourselves."""


@dataclass
class _Watched:
    worked_s: float = 0.0
    silent_s: float = 0.0
    signs: tuple[int, int] = field(default=(-1, -1))
    """Events heard, and the length of the log."""


class DeadlineWatch:
    """The stages that run, and how long each has said nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked_at = clock()
        self._watched: dict[Attempt, _Watched] = {}

    def overdue(self, attempts: Mapping[TaskKey, Attempt]) -> dict[TaskKey, TimedOutError]:
        """Those whose time is over, and why."""
        now = self._clock()
        passed = now - self._looked_at
        if passed < LOOK_S:
            return {}
        self._looked_at = now
        self._watched = {
            attempt: self._watched.get(attempt, _Watched()) for attempt in attempts.values()
        }
        found = {}
        for key, attempt in attempts.items():
            watched = self._watched[attempt]
            if not attempt.paused:
                watched.worked_s += min(passed, LONGEST_LOOK_S)
                watched.silent_s += min(passed, LONGEST_LOOK_S)
            signs = _signs(attempt)
            if signs != watched.signs:
                watched.signs, watched.silent_s = signs, 0.0
            error = _judge(attempt, watched)
            if error is not None:
                found[key] = error
        return found


def _signs(attempt: Attempt) -> tuple[int, int]:
    length = 0
    with suppress(OSError):
        length = attempt.log.stat().st_size
    return attempt.events_heard, length


def _judge(attempt: Attempt, watched: _Watched) -> TimedOutError | None:
    stage, limits = attempt.spec.stage, attempt.spec.limits
    if watched.silent_s > limits.silence_s:
        what = f"no progress for {duration(watched.silent_s)}"
    elif watched.worked_s > limits.stage_s:
        what = f"not done after {duration(watched.worked_s)}"
    else:
        return None
    return TimedOutError(
        f"{stage.title}: timed out: {what}",
        hint="it was stopped; where it hung is at the end of its log",
        stage=stage.name,
        log=attempt.log,
    )
