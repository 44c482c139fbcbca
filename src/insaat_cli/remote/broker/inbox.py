"""What a worker does with the messages that it received, and what it tells others.

A message is acknowledged at the claim. From then on the lease in the state is all there is, so a
job may run for hours; whoever returns a job to the queue rings for it again.
"""

from __future__ import annotations

from collections.abc import Iterable

from insaat_cli.errors import StoreError
from insaat_cli.remote.broker.listener import Listener
from insaat_cli.remote.broker.messages import JobEvent
from insaat_cli.remote.broker.outages import log
from insaat_cli.remote.broker.publisher import Publisher
from insaat_cli.remote.queue.job_state import (
    JobState,
    NewerStateError,
    Status,
    UnreadableStateError,
)
from insaat_cli.remote.queue.keys import Marker, queued_marker
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import read

FIRST_PASS_S = 2.0
LONGEST_PASS_S = 60.0
"""Until a job that this worker cannot take now is offered to the next."""
MAX_REMEMBERED = 1000


class NoInbox:
    """The inbox of a worker without a broker, which scans the queue on its own."""

    has_broker = False

    @property
    def is_up(self) -> bool:
        """Whether a message would come for every new job."""
        return False

    @property
    def trouble(self) -> str:
        """Why the broker cannot be used; "" where it can, or where there is none."""
        return ""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def want(self, wanted: bool) -> None: ...

    def received(self) -> list[Marker]:
        """Queued jobs that this worker received a message for."""
        return []

    def settle(self, running: Iterable[str]) -> None:
        """Once per turn, after the claims: acknowledge, and pass on what was not claimed."""

    def claimed(self, state: JobState) -> None:
        """This worker owns a job now."""

    def changed(self, job: str, state: JobState | None) -> None:
        """An attempt is over, or a job was taken from a lost worker; None: not known how."""

    def resend(self, standing: Iterable[str]) -> None:
        """Ring for jobs that have been in the queue for long."""


class BrokerInbox(NoInbox):
    """Used by the worker's main thread only."""

    has_broker = True

    def __init__(
        self, listener: Listener, publisher: Publisher, queue: Queue, *, tags: Iterable[str]
    ) -> None:
        self._listener, self._publisher, self._queue = listener, publisher, queue
        self._tags = frozenset(tags)
        self._unsettled: list[str] = []
        self._passes: dict[str, int] = {}
        """How often a job was passed on."""
        self._started: dict[str, str] = {}
        """When our attempts began, by job."""

    @property
    def is_up(self) -> bool:
        return self._listener.is_up

    @property
    def trouble(self) -> str:
        return self._listener.trouble

    def start(self) -> None:
        self._listener.start()
        self._publisher.start()

    def stop(self) -> None:
        self._listener.stop()
        self._publisher.stop()

    def want(self, wanted: bool) -> None:
        self._listener.want(wanted)

    def received(self) -> list[Marker]:
        return [marker for job in self._listener.came() if (marker := self._look(job))]

    def _look(self, job: str) -> Marker | None:
        try:
            held = read(self._queue.store, job)
        except StoreError as error:
            log.warning("job %s: %s", job, error.message)
            damaged = isinstance(error, UnreadableStateError)
            if damaged and not isinstance(error, NewerStateError):
                self._listener.settle(job)  # nobody can do anything with it
            else:
                self._pass_on(job)
            return None
        if held is None or held.state.status.ended:
            self._listener.settle(job)
            return None
        if held.state.status is Status.RUNNING:
            # Repeated, or its owner is dead: from now on its heartbeats are watched.
            self._queue.suspect(held.state)
            self._listener.settle(job)
            return None
        if not self._tags.issuperset(held.state.tags):
            self._pass_on(job)
            return None
        self._unsettled.append(job)
        return queued_marker(held.state)

    def _pass_on(self, job: str) -> None:
        """Ring for it again in a while, for another worker; here it is asked for once only."""
        if not self._publisher.is_late(job):
            times = self._passes.pop(job, 0)
            self._passes[job] = times + 1
            if len(self._passes) > MAX_REMEMBERED:
                del self._passes[next(iter(self._passes))]
            pause_s = min(FIRST_PASS_S * 2.0 ** min(times, 10), LONGEST_PASS_S)
            self._publisher.ring_later(job, pause_s)
        self._listener.settle(job)

    def settle(self, running: Iterable[str]) -> None:
        claimed = set(running)
        for job in self._unsettled:
            if job in claimed:
                self._listener.settle(job)
            else:
                self._pass_on(job)
        self._unsettled.clear()

    def claimed(self, state: JobState) -> None:
        self._passes.pop(state.job, None)
        self._started[state.job] = state.changed_at
        self._publisher.tell(JobEvent.of(state, started_at=state.changed_at))

    def changed(self, job: str, state: JobState | None) -> None:
        started_at = self._started.pop(job, "")
        if state is None:
            return  # lost: whoever takes it from us says so
        self._publisher.tell(JobEvent.of(state, started_at=started_at))
        if state.status is Status.QUEUED:
            self._publisher.ring(job)

    def resend(self, standing: Iterable[str]) -> None:
        """Only where fewer messages wait than jobs: a message that is there need not be sent."""
        if jobs := tuple(sorted(standing)):
            self._publisher.top_up(jobs)
