"""What becomes of jobs, as it happens: what a broker tells, and what the store says.

Messages are hints: each makes us read the job's state, and only that is reported. So forged and
repeated ones show nothing, and lost ones are made good by looking at the store now and then.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from insaat_cli.errors import StoreError
from insaat_cli.remote.broker.broker import Broker
from insaat_cli.remote.broker.link import HEARTBEAT_S, BrokerError
from insaat_cli.remote.broker.messages import job_of
from insaat_cli.remote.broker.outages import STABLE_S, Outage
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.keys import QUEUED, RUNNING, parse_marker
from insaat_cli.remote.queue.state_writes import read
from insaat_cli.remote.store.protocol import Store

POLL_S = 10.0
SWEEP_S = 60.0
"""Between looks into the store while a broker tells."""
TURN_S = 0.5
CONNECTED = ""
"""In place of a job: events arrive from now on."""
MAX_REMEMBERED = 10_000
log = logging.getLogger("insaat.broker")


@dataclass
class JobWatch:
    """Changes of status since it was last asked; jobs that have ended before are not known."""

    store: Store
    _seen: dict[str, tuple[Status, int]] = field(default_factory=dict)
    """The status and epoch reported last, by job."""
    _open: set[str] = field(default_factory=set)

    def look(self) -> Iterator[JobState]:
        """Look into the store: jobs that wait or run, and what became of those that did."""
        markers = [
            marker
            for prefix in (QUEUED, RUNNING)
            for entry in self.store.list(prefix)
            if (marker := parse_marker(entry.key))
        ]
        for job in dict.fromkeys([*(marker.job for marker in markers), *sorted(self._open)]):
            yield from self.look_at(job)

    def look_at(self, job: str) -> Iterator[JobState]:
        """The state of one job, if its status is news."""
        held = read(self.store, job)
        if held is None:  # a submission under way, a forged message, or it was deleted
            self._open.discard(job)
            return
        state = held.state
        news = (state.status, state.epoch)
        if state.status.ended:
            self._open.discard(job)
        else:
            self._open.add(job)
        if self._seen.pop(job, None) != news:
            yield state
        self._seen[job] = news
        if len(self._seen) > MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]


class EventFeed:
    """States as they change, without end. Without a broker the store is read every `poll_s`."""

    def __init__(
        self,
        store: Store,
        broker: Broker | None,
        *,
        poll_s: float = POLL_S,
        sweep_s: float = SWEEP_S,
    ) -> None:
        self._watch = JobWatch(store)
        self._broker = broker
        self._poll_s, self._sweep_s = poll_s, sweep_s
        self._told: queue.Queue[str] = queue.Queue(MAX_REMEMBERED)
        self._up = threading.Event()
        self._stopped = threading.Event()

    def now(self) -> Iterator[JobState]:
        """The jobs that wait or run."""
        return self._watch.look()

    def follow(self) -> Iterator[JobState]:
        """Ends never; a store that does not answer is asked again."""
        listener = self._listen_aside()
        try:
            next_look = 0.0
            while True:
                pause = self._sweep_s if self._up.is_set() else self._poll_s
                if time.monotonic() >= next_look:
                    yield from self._tolerant(self._watch.look)
                    next_look = time.monotonic() + pause
                next_look = min(next_look, time.monotonic() + pause)
                try:
                    job = self._told.get(timeout=TURN_S)
                except queue.Empty:
                    continue
                if job == CONNECTED:
                    next_look = 0.0
                else:
                    yield from self._tolerant(partial(self._watch.look_at, job))
        finally:
            self._stopped.set()
            if listener:
                listener.join(2 * TURN_S)

    def _tolerant(self, look: Callable[[], Iterator[JobState]]) -> Iterator[JobState]:
        try:
            yield from look()
        except StoreError as error:
            log.warning("%s", error.message)

    def _listen_aside(self) -> threading.Thread | None:
        if self._broker is None or not self._broker.address.scheme.has_fan_out:
            return None
        thread = threading.Thread(target=self._listen, args=(self._broker,), daemon=True)
        thread.start()
        return thread

    def _listen(self, broker: Broker) -> None:
        outage = Outage(f"reading the store every {self._poll_s:g} s until it is back")
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                link = broker.link(heartbeat_s=HEARTBEAT_S)
            except BrokerError as error:
                self._stopped.wait(outage.failed(error.message))
                continue
            try:
                link.overhear(self._on_message)
                while not self._stopped.is_set():
                    link.drain(TURN_S)
                    outage.over(link.address.shown)
                    self._set_up()
                    if time.monotonic() - began > STABLE_S:
                        outage.forget()
            except BrokerError as error:
                self._up.clear()
                self._stopped.wait(outage.failed(error.message))
            finally:
                link.close()

    def _set_up(self) -> None:
        """What changed before we were told of changes is to be looked for."""
        if not self._up.is_set():
            self._up.set()
            self._told.put(CONNECTED)

    def _on_message(self, message: object) -> None:
        body = getattr(message, "body", b"") or b""
        job = job_of(body, getattr(message, "content_type", None))
        if job is not None and not self._told.full():
            self._told.put(job)
