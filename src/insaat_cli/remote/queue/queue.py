"""The rules by which jobs are found, claimed, watched and given back, over any store.

Only `state.json` decides; markers (see `keys`) only save reading every job. Order within each
step: the marker of the coming period, the state change, then the deletion of the past marker. A
process may die between any two of them and nothing is lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import random
from collections.abc import Callable, Iterable

from insaat_cli.errors import JobStateError, NoJobError, StoreError
from insaat_cli.remote.queue import job_state as transitions
from insaat_cli.remote.queue.job_state import (
    JobState,
    Problem,
    Progress,
    RefusedError,
    Status,
    UnreadableStateError,
)
from insaat_cli.remote.queue.keys import (
    QUEUED,
    Marker,
    parse_marker,
    queued_marker,
    running_marker,
    spec_key,
)
from insaat_cli.remote.queue.patrol import Patrol
from insaat_cli.remote.queue.set_aside import SetAside
from insaat_cli.remote.queue.state_writes import (
    Held,
    LostRaceError,
    Pause,
    change,
    create,
    put_once,
    read,
)
from insaat_cli.remote.queue.watch import Watch
from insaat_cli.remote.store.protocol import Store, UncertainError

CHANGE_TRIES = 20
CANDIDATES = 200
"""Queued markers read in one scan."""
AGED_SHARE = 0.125
"""Of the scans, in which the oldest jobs come first; so much of the fleet works for them."""
AGED = 4
AGED_LISTED = 20_000
AGAIN = 8
"""Of the markers that led nowhere before, how many are tried again in one scan."""
CHOICE = 16
"""Workers pick at random among so many of the first jobs, so that they seldom collide."""
ABANDONED_AFTER_S = 3600.0
STALE_AFTER_S = 15.0
"""So long a marker of the past must have stood before anybody but its owner deletes it."""
Step = Callable[[JobState], JobState]
log = logging.getLogger("insaat.worker")


class Queue:
    """Jobs in `store`. `clock` is monotonic, in seconds, and only compared with itself."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        pause: Pause | None = None,
        choose: random.Random | None = None,
    ) -> None:
        self.store = store
        self._clock = clock
        self._pause = pause or Pause()
        self._random = choose or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._choice = CHOICE
        self.races_lost = 0
        """Claims that came too late: what was listed is no longer true."""
        self._aside = SetAside(clock)
        self._patrol = Patrol(store, self._random)
        self._watch = Watch(store, self, clock, self._random)

    # Submit and control ----------------------------------------------------------------------

    def submit(self, first: JobState, spec: bytes) -> Held:
        """Spec, marker, then the state as the commit: before it, there is no job."""
        put_once(self.store, spec_key(first.job), spec, self._pause)
        self.store.put(queued_marker(first).key, b"")
        first = dataclasses.replace(first, spec_sha256=hashlib.sha256(spec).hexdigest())
        return create(self.store, first, self._pause)

    def read(self, job: str) -> Held:
        """Raises NoJobError if there is no such job."""
        held = read(self.store, transitions.check_id(job))
        if held is None:
            raise NoJobError(
                f"job {job} not found in {self.store.describe()}",
                hint="list the jobs with insaat jobs",
            )
        return held

    def cancel(self, job: str) -> JobState:
        held = self._apply(job, transitions.cancel)
        self.tidy(queued_marker(held.state), held.state)
        return held.state

    def retry(self, job: str) -> JobState:
        return self._apply(job, transitions.retry).state

    def mark_removing(self, job: str) -> JobState:
        return self._apply(job, transitions.remove).state

    # Claim, report, end ----------------------------------------------------------------------

    def candidates(self, tags: Iterable[str] = ()) -> list[Marker]:
        """Markers of queued jobs whose tags are among `tags`, best first, the first few mixed.

        Once in a while the oldest come first, whatever their priority: they would wait for ever
        behind a stream of better ones. Those that led nowhere before come last."""
        offered = frozenset(tags)
        aged = self._random.random() < AGED_SHARE
        suitable: list[Marker] = []
        again: list[Marker] = []
        for entry in self.store.list(QUEUED, limit=AGED_LISTED if aged else None):
            found = parse_marker(entry.key)
            if found is None or not offered.issuperset(found.tags) or self.is_aside(found):
                continue
            # What led nowhere before comes last: however many there are, they hide no job.
            (again if self._aside.knows(found.key) else suitable).append(found)
            if len(suitable) == CANDIDATES and not aged:
                break
        oldest = _oldest(suitable) if aged else []
        suitable = [found for found in suitable[:CANDIDATES] if found not in oldest]
        first = [found for found in suitable[: self._choice] if found.rank == suitable[0].rank]
        for group in (oldest, first):
            self._random.shuffle(group)
        raised = [dataclasses.replace(found, rank=-1) for found in oldest]
        return [*raised, *first, *suitable[len(first) :], *again[:AGAIN]]

    def claim(self, marker: Marker, *, owner: str, lease_s: float) -> Held | None:
        """Make `owner` the owner, or None if the job is not to be had."""
        try:
            held = read(self.store, marker.job)
        except UnreadableStateError as error:
            self.set_aside(marker, error)
            return None
        if held is None:
            self._abandon_if_old(marker)
            return None
        if held.state.status is not Status.QUEUED or held.state.epoch != marker.epoch:
            self.races_lost += 1
            # The winner deletes it. Thousands of losers would delete it once more each.
            if self._aside.put(marker.key) >= STALE_AFTER_S:
                self.tidy(marker, held.state)
            return None
        self._aside.clear(marker.key)
        announced = running_marker(marker.job, marker.epoch + 1)
        self.store.put(announced.key, b"")
        try:
            claimed = change(
                self.store,
                held,
                transitions.claim(held.state, owner=owner, lease_s=lease_s),
                self._pause,
            )
        except (LostRaceError, RefusedError) as lost:
            # Many workers, few jobs: spread out.
            self.races_lost += 1
            self._choice = min(self._choice * 2, CANDIDATES)
            if isinstance(lost, LostRaceError):
                # The winner may have ended the job, and its marker, before ours was written.
                self.tidy(announced, lost.current.state)
            return None
        self._choice = CHOICE
        if not claimed.state.owned_by(owner, marker.epoch + 1):
            return None
        self.tidy(marker, claimed.state)
        return claimed

    def renew(self, held: Held, *, progress: Progress) -> Held:
        """The owner's heartbeat; raises RefusedError if it is the owner no longer."""
        owner, epoch = held.state.owner, held.state.epoch
        renewed = self._insist(
            held,
            lambda state: transitions.renew(state, owner=owner, epoch=epoch, progress=progress),
        )
        if not renewed.state.owned_by(owner, epoch):
            raise RefusedError("belongs to another worker now")
        return renewed

    def succeed(self, held: Held, *, manifest_sha256: str) -> Held:
        """Publish; raises RefusedError if the job is lost or cancelled."""
        owner, epoch = held.state.owner, held.state.epoch
        return self._finish(
            held,
            lambda state: transitions.succeed(
                state, owner=owner, epoch=epoch, manifest_sha256=manifest_sha256
            ),
        )

    def fail(self, held: Held, problem: Problem) -> Held:
        owner, epoch = held.state.owner, held.state.epoch
        return self._finish(
            held,
            lambda state: transitions.fail(state, owner=owner, epoch=epoch, problem=problem),
        )

    def give_up(self, held: Held, problem: Problem) -> Held:
        """End a job that no machine can run."""
        owner, epoch = held.state.owner, held.state.epoch
        return self._finish(
            held,
            lambda state: transitions.give_up(state, owner=owner, epoch=epoch, problem=problem),
        )

    def release(self, held: Held) -> Held:
        owner, epoch = held.state.owner, held.state.epoch
        return self._finish(
            held,
            lambda state: transitions.release(state, owner=owner, epoch=epoch),
        )

    # Jobs of other workers -------------------------------------------------------------------

    def watch(self, limit: int) -> list[JobState]:
        """Look at up to `limit` running jobs; those that this call took from lost workers."""
        return self._watch.look(limit)

    def suspect(self, state: JobState) -> None:
        """Watch this running job from now on."""
        self._watch.suspect(state)

    def patrol(self) -> list[JobState]:
        """Look at a few states, whether any marker announces them; those where none did."""
        return self._patrol.step()

    def expired(self) -> list[JobState]:
        """Of those that `patrol` looked at: jobs that have been kept for as long as was asked."""
        return self._patrol.expired

    def lose(self, held: Held, epoch: int) -> Held:
        """Take the job from the silent owner of `epoch`. Raises LostRaceError, RefusedError."""
        return self._change(held, lambda state: transitions.lose(state, epoch=epoch))

    def set_aside(self, marker: Marker, error: UnreadableStateError) -> None:
        """One job that cannot be read must not keep anybody from the others."""
        known = self._aside.knows(marker.key)
        self._aside.put(marker.key)
        if not known:
            log.warning("job %s: left out: %s", marker.job, error.message)

    def is_aside(self, marker: Marker) -> bool:
        return self._aside.holds(marker.key)

    def _abandon_if_old(self, marker: Marker) -> None:
        """A marker without a state: a submission under way, or one whose submitter died."""
        if self._aside.put(marker.key) >= ABANDONED_AFTER_S:
            with contextlib.suppress(LostRaceError):
                held = create(self.store, transitions.abandoned(marker.job), self._pause)
                self.tidy(marker, held.state)
            self._aside.clear(marker.key)

    # Write states ----------------------------------------------------------------------------

    def _apply(self, job: str, step: Step) -> Held:
        """A change by somebody who does not own the job."""
        try:
            return self._insist(self.read(job), step)
        except RefusedError as error:
            raise JobStateError(f"job {job} {error}") from error

    def _finish(self, held: Held, step: Step) -> Held:
        done = self._insist(held, step)
        self.tidy(running_marker(held.state.job, held.state.epoch), done.state)
        return done

    def _insist(self, held: Held, step: Step) -> Held:
        """Change again from what the job has become, as long as `step` allows it."""
        for _ in range(CHANGE_TRIES):
            try:
                return self._change(held, step)
            except LostRaceError as race:
                held = race.current
        raise UncertainError(f"job {held.state.job} is changing too fast, try again")

    def _change(self, held: Held, step: Step) -> Held:
        """One change, announced first if it puts the job into the queue."""
        after = step(held.state)
        if after.status is Status.QUEUED:
            self.store.put(queued_marker(after).key, b"")
        return change(self.store, held, after, self._pause)

    def tidy(self, marker: Marker, state: JobState) -> None:
        """Delete a marker of the past; if that fails, the next scan that meets it does it."""
        if marker.is_past(state):
            with contextlib.suppress(StoreError):
                self.store.delete(marker.key)


def _oldest(markers: Iterable[Marker]) -> list[Marker]:
    """By their ids, which begin with the time of submission, as the submitter's clock has it."""
    return sorted(markers, key=lambda marker: marker.job)[:AGED]
