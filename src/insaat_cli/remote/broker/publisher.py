"""Sends messages from a thread of its own, so that no worker waits for a broker.

Bounded: what cannot be sent for long is dropped, oldest first. A dropped request is made good by
polling, and a dropped event by whoever reads the store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from insaat_cli.remote.broker.link import BrokerError, Link
from insaat_cli.remote.broker.messages import JobEvent
from insaat_cli.remote.broker.outages import Outage

MAX_UNSENT = 1000
IDLE_S = 15.0
"""After which its connection is closed."""
FLUSH_S = 3.0


@dataclass(frozen=True)
class _TopUp:
    """Ring for each of these jobs, if fewer messages wait than there are jobs."""

    jobs: tuple[str, ...]


_Item = str | JobEvent | _TopUp
"""A job to ring for, an event, or a look at how many messages wait."""


class Publisher:
    """Any thread may call; what it says is sent in this order, but for late rings."""

    def __init__(
        self, open_link: Callable[[], Link], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._open_link, self._clock = open_link, clock
        self._outage = Outage("requests and events wait; the oldest are dropped")
        self._unsent: list[_Item] = []
        self._late: dict[str, float] = {}
        """Jobs to ring for, with when."""
        self._news = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="broker-publisher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, late rings included, within seconds."""
        with self._news:
            self._stopping = True
            self._unsent += self._late
            self._late.clear()
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(FLUSH_S)

    def ring(self, job: str) -> None:
        self._add(job)

    def ring_later(self, job: str, seconds: float) -> None:
        """Unless that many wait already; a later call for the same job replaces an earlier one."""
        with self._news:
            if len(self._late) < MAX_UNSENT:
                self._late[job] = self._clock() + seconds
                self._news.notify()

    def is_late(self, job: str) -> bool:
        """Whether `job` is still to be rung for later."""
        return job in self._late

    def tell(self, event: JobEvent) -> None:
        self._add(event)

    def top_up(self, jobs: tuple[str, ...]) -> None:
        self._add(_TopUp(jobs))

    def _add(self, item: _Item) -> None:
        with self._news:
            self._unsent.append(item)
            del self._unsent[:-MAX_UNSENT]
            self._news.notify()

    # In the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._next(None)) is not None:
            try:
                link = self._open_link()
            except BrokerError as error:
                self._fail(error)
                continue
            try:
                self._send_all(link, item)
            except BrokerError as error:
                self._fail(error)
            finally:
                link.close()

    def _send_all(self, link: Link, first: _Item) -> None:
        """Until there has been nothing to send for a while."""
        item: _Item | None = first
        while item is not None:
            _send(link, item)
            self._outage.over(link.address.shown)
            self._outage.forget()
            with self._news:
                if self._unsent[:1] == [item]:  # not dropped meanwhile
                    del self._unsent[0]
            item = self._next(IDLE_S)

    def _next(self, patience_s: float | None) -> _Item | None:
        """What to send, which stays the first until it was sent; None: nothing came for so long,
        or it is time to end."""
        until = None if patience_s is None else self._clock() + patience_s
        with self._news:
            while not self._unsent:
                now = self._clock()
                due = [job for job, when in self._late.items() if when <= now]
                if due:
                    self._unsent += due
                    for job in due:
                        del self._late[job]
                elif self._stopping or (until is not None and now >= until):
                    return None
                else:
                    ends = [*self._late.values(), *([until] if until is not None else [])]
                    self._news.wait(min(ends) - now if ends else None)
            return self._unsent[0]

    def _fail(self, error: BrokerError) -> None:
        pause_s = self._outage.failed(error.message)
        with self._news:
            if self._stopping:
                self._unsent.clear()
            self._news.wait_for(lambda: self._stopping, pause_s)


def _send(link: Link, item: _Item) -> None:
    if isinstance(item, JobEvent):
        link.tell(item)
    elif isinstance(item, str):
        link.ring(item)
    elif link.waiting() < len(item.jobs):
        for job in item.jobs:
            link.ring(job)
