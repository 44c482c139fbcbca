"""Watches over the jobs of others: a worker that is silent for a whole lease has lost its job."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from insaat_cli.remote.queue.job_state import (
    MAX_LEASE_S,
    JobState,
    RefusedError,
    UnreadableStateError,
)
from insaat_cli.remote.queue.keys import RUNNING, SHARDS, Marker, parse_marker, running_marker
from insaat_cli.remote.queue.state_writes import Held, LostRaceError, read
from insaat_cli.remote.store.protocol import Entry, Store, UncertainError

WATCH_LISTED = 1000


@dataclass
class _Sighting:
    epoch: int
    revision: int
    since: float


class Steps(Protocol):
    """What the queue does for its watch."""

    def lose(self, held: Held, epoch: int) -> Held:
        """Take the job from its owner. Raises LostRaceError and RefusedError."""

    def tidy(self, marker: Marker, state: JobState) -> None:
        """Delete a marker of the past."""

    def set_aside(self, marker: Marker, error: UnreadableStateError) -> None:
        """Pass over what cannot be read."""

    def is_aside(self, marker: Marker) -> bool: ...


class Watch:
    """A job is lost when its revision stood still, as seen by this observer's own clock, for the
    whole lease that its owner named. The same jobs are looked at until they move or end."""

    def __init__(
        self, store: Store, steps: Steps, clock: Callable[[], float], chance: random.Random
    ) -> None:
        self._store, self._steps, self._clock, self._random = store, steps, clock, chance
        self._seen: dict[str, _Sighting] = {}

    def look(self, limit: int) -> list[JobState]:
        """Look at up to `limit` running jobs; return those that were taken from lost workers."""
        markers = self._running()
        alive = {marker.key: marker for marker in markers}
        self._seen = {key: seen for key, seen in self._seen.items() if key in alive}
        room = max(limit - len(self._seen), 0)
        fresh = [
            key
            for key, marker in alive.items()
            if key not in self._seen and not self._steps.is_aside(marker)
        ]
        chosen = self._random.sample(fresh, min(room, len(fresh)))
        taken = []
        for key in [*self._seen, *chosen]:
            with contextlib.suppress(UncertainError):
                taken += self._look(alive[key], keep=len(alive) <= limit)
        return taken

    def suspect(self, state: JobState) -> None:
        """Watch this running job from now on."""
        self._look(running_marker(state.job, state.epoch), keep=True)

    def _running(self) -> list[Marker]:
        """Markers of running jobs; of a large fleet's, those of one shard drawn by chance."""
        entries = list(self._store.list(RUNNING, limit=WATCH_LISTED))
        if len(entries) == WATCH_LISTED:
            entries = list(self._store.list(RUNNING + self._random.choice(SHARDS)))
            # What is watched already stays watched, whatever shard was drawn.
            entries += [Entry(key, 0) for key in self._seen]
        return [marker for entry in entries if (marker := parse_marker(entry.key))]

    def _look(self, marker: Marker, *, keep: bool) -> list[JobState]:
        try:
            held = read(self._store, marker.job)
        except UnreadableStateError as error:
            self._seen.pop(marker.key, None)
            self._steps.set_aside(marker, error)
            return []
        if held is None or not held.state.owned_by(held.state.owner, marker.epoch):
            self._seen.pop(marker.key, None)
            if held is not None:
                self._steps.tidy(marker, held.state)
            return []
        state, now = held.state, self._clock()
        seen = self._seen.get(marker.key)
        if seen is None or (seen.epoch, seen.revision) != (state.epoch, state.revision):
            if seen is not None and not keep:
                # It lives: make room for another job, so that in time all are looked at.
                del self._seen[marker.key]
            else:
                self._seen[marker.key] = _Sighting(state.epoch, state.revision, now)
            return []
        if now - seen.since < min(state.lease_s, MAX_LEASE_S):
            return []
        with contextlib.suppress(LostRaceError, RefusedError):
            lost = self._steps.lose(held, marker.epoch)
            self._steps.tidy(marker, lost.state)
            del self._seen[marker.key]
            return [lost.state]
        return []
