"""A slow look at the states themselves, for jobs whose marker was lost.

Markers are hints; but a job that no marker announces is found by nobody. Stores lose objects,
people delete prefixes, a stray lifecycle rule does both. So every worker walks over `jobs/`, a few
states at a time, and puts back what should be there.
"""

from __future__ import annotations

import random

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


class Patrol:
    """Goes on where the last step ended, and begins anew at the end of `jobs/`."""

    def __init__(self, store: Store, chance: random.Random) -> None:
        self._store, self._random = store, chance
        self._after = ""
        self._ended: set[str] = set()

    def step(self) -> list[JobState]:
        """Queued and running jobs whose marker was missing; it is there again."""
        names = list(self._store.folders(JOBS, after=self._after, limit=PAGE))
        open_ones = [name for name in names if ID_PATTERN.fullmatch(name)]
        open_ones = [name for name in open_ones if name not in self._ended]
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
            if len(self._ended) < MAX_KNOWN:
                self._ended.add(job)
            return None
        marker = _marker(state)
        if self._store.size(marker.key) is not None:
            return None
        # Should the job have gone on meanwhile, this is a marker of the past like any other.
        self._store.put(marker.key, b"")
        return state


def _marker(state: JobState) -> Marker:
    if state.status is Status.QUEUED:
        return queued_marker(state)
    return running_marker(state.job, state.epoch)
