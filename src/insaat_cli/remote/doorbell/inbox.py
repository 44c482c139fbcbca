"""What a worker does with the messages that it received, until it has settled each of them.

A message stays hidden as long as the worker holds the lease of its job, is deleted when the job has
ended, and appears again when the worker dies or gives the job back. So it mirrors the lease; but
only the state says who owns a job.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from insaat_cli.remote.doorbell.doorbell import Doorbell, Listener, job_of, log
from insaat_cli.remote.doorbell.sqs import Message
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.keys import Marker, queued_marker
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import Held, read

NOT_NOW_S = 30.0
"""Until a job that this worker cannot take now is offered to the next."""


class NoInbox:
    """The inbox of a worker without a doorbell, which scans the queue on its own."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def want(self, wanted: bool) -> None: ...

    def received(self) -> list[Marker]:
        """Queued jobs that this worker received a message for."""
        return []

    def settle(self, running: Iterable[str]) -> None:
        """Once per turn: keep the messages of `running` jobs hidden, put off the others."""

    def ended(self, job: str, final: JobState | None) -> None:
        """An attempt is over; `final` is the state of its job, where it is known."""

    def queued_again(self, job: str) -> None:
        """A job is in the queue for which nobody holds a message."""

    def resend(self, standing: Iterable[str]) -> None:
        """Ring for jobs that have been in the queue for long."""


class DoorbellInbox(NoInbox):
    """Used by the worker's main thread only."""

    def __init__(
        self,
        bell: Doorbell,
        listener: Listener,
        queue: Queue,
        *,
        tags: Iterable[str],
        lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bell, self._listener, self._queue = bell, listener, queue
        self._tags, self._lease_s, self._clock = frozenset(tags), lease_s, clock
        self._messages: dict[str, Message] = {}
        """By job, not settled."""
        self._hidden_at = clock()

    def start(self) -> None:
        self._listener.start()

    def stop(self) -> None:
        self._listener.stop()

    def want(self, wanted: bool) -> None:
        self._listener.want(wanted)

    def received(self) -> list[Marker]:
        return [found for message in self._listener.came() if (found := self._look(message))]

    def _look(self, message: Message) -> Marker | None:
        """Raises StoreError if the state cannot be read; the message will come again."""
        job = job_of(message.text)
        held = None if job is None else read(self._queue.store, job)
        if job is None or held is None or held.state.status.ended:
            log.info("message for %s: nothing to do", f"job {job}" if job else "no known job")
            self._bell.delete(message)
            return None
        if held.state.status is Status.RUNNING:
            self._suspect(held, message)
            return None
        if not self._tags.issuperset(held.state.tags) or job in self._messages:
            self._bell.hide(message, NOT_NOW_S)
            return None
        self._messages[job] = message
        return queued_marker(held.state)

    def _suspect(self, held: Held, message: Message) -> None:
        """Repeated, or its owner is dead: look at the owner's heartbeats for a lease."""
        self._queue.suspect(held.state)
        self._bell.hide(message, max(held.state.lease_s, 1.0))

    def settle(self, running: Iterable[str]) -> None:
        jobs = set(running)
        for job in self._messages.keys() - jobs:
            self._bell.hide(self._messages.pop(job), NOT_NOW_S)
        now = self._clock()
        if now - self._hidden_at < self._lease_s / 4:
            return
        self._hidden_at = now
        for message in self._messages.values():
            self._bell.hide(message, self._lease_s)

    def ended(self, job: str, final: JobState | None) -> None:
        message = self._messages.pop(job, None)
        if final is None:
            return  # lost: if nobody else has it, the message appears again by itself
        if message is None:
            if final.status is Status.QUEUED:
                self._bell.ring(job)
        elif final.status.ended:
            self._bell.delete(message)
        else:
            self._bell.hide(message, 0)

    def queued_again(self, job: str) -> None:
        self._bell.ring(job)

    def resend(self, standing: Iterable[str]) -> None:
        """Only where fewer messages wait than jobs: a message that is there need not be sent."""
        jobs = sorted(standing)
        visible = self._bell.visible() if jobs else None
        if visible is not None and visible < len(jobs):
            log.info("%d jobs queued but %d messages: notifying again", len(jobs), visible)
            for job in jobs:
                self._bell.ring(job)
