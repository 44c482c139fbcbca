"""A slow look at the states themselves, for jobs whose marker was lost.

Markers are hints; but a job that no marker announces is found by nobody. Stores lose objects,
people delete prefixes, a stray lifecycle rule does both. So every worker walks over `jobs/`, a few
states at a time, and puts back what should be there.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from datetime import datetime

from insaat_cli.remote.queue.job_state import (
    ID_PATTERN,
    JobState,
    Status,
    UnreadableStateError,
)
from insaat_cli.remote.queue.keys import JOBS, Marker, queued_marker, running_marker
from insaat_cli.remote.queue.state_writes import read
from insaat_cli.remote.store.protocol import Store

PAGE = 1000
STATES = 20
"""Read at a time. Jobs that have ended are read once, and then known."""
MAX_KNOWN = 200_000
DAY_S = 86_400.0


class Patrol:
    """Goes on where the last step ended, and begins anew at the end of `jobs/`."""

    def __init__(
        self, store: Store, chance: random.Random, now: Callable[[], float] = time.time
    ) -> None:
        """`now`: the time of day, in seconds; for days it need not be exact."""
        self._store, self._random, self._now = store, chance, now
        self._after = ""
        self._ended: dict[str, float] = {}
        """When they need be looked at again."""
        self.expired: list[JobState] = []
        """Of the last step: jobs that ended longer ago than they are to be kept."""

    def step(self) -> list[JobState]:
        """Queued and running jobs whose marker was missing; it is there again."""
        names = list(self._store.folders(JOBS, after=self._after, limit=PAGE))
        open_ones = [name for name in names if ID_PATTERN.fullmatch(name)]
        now = self._now()
        open_ones = [name for name in open_ones if self._ended.get(name, 0.0) <= now]
        self.expired = []
        looked = self._random.sample(open_ones, min(STATES, len(open_ones)))
        found = [state for name in looked if (state := self._look(name)) is not None]
        self._after = names[-1] if len(names) == PAGE else ""
        return found

    def _look(self, job: str) -> JobState | None:
        try:
            held = read(self._store, job)
        except UnreadableStateError:
            return None
        if held is None:
            return None
        state = held.state
        if state.status.ended:
            due = _due(state)
            if due <= self._now():
                self.expired.append(state)
            elif len(self._ended) < MAX_KNOWN:
                self._ended[job] = due
            return None
        marker = _marker(state)
        if self._store.size(marker.key) is not None:
            return None
        # Should the job have gone on meanwhile, this is a marker of the past like any other.
        self._store.put(marker.key, b"")
        return state


def _due(state: JobState) -> float:
    """When the job may be deleted, in seconds of the time of day; never: inf."""
    if not state.keep_days:
        return math.inf
    try:
        ended = datetime.fromisoformat(state.changed_at).timestamp()
    except ValueError:
        return math.inf
    return ended + state.keep_days * DAY_S


def _marker(state: JobState) -> Marker:
    if state.status is Status.QUEUED:
        return queued_marker(state)
    return running_marker(state.job, state.epoch)
