"""Waits for messages in a thread of its own, one at a time, and only when wanted.

A message is acknowledged when the worker has settled it: by claiming its job, or by finding that
there is nothing to claim. Until then it is the broker's, which offers it again if we die.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from insaat_cli.remote.broker.link import BrokerError, Link
from insaat_cli.remote.broker.messages import job_of
from insaat_cli.remote.broker.outages import STABLE_S, Outage, log

TURN_S = 0.5
CHECK_EVERY_S = 10.0
"""While nothing is wanted, so that a busy worker knows of an outage, too."""
SETTLE_DEADLINE_S = 300.0
"""A message that the worker did not settle by then is offered to others; brokers have deadlines,
too (RabbitMQ: 30 minutes)."""
COMPLAIN_EVERY_S = 60.0


class Wakes(Protocol):
    """Who waits for messages."""

    def set(self) -> None:
        """Wake it."""


@dataclass
class _Held:
    job: str
    message: Any
    since: float
    settled: bool = False


class Listener:
    """`open_link` is called again after every failure. `wake` is set when there is news."""

    def __init__(self, open_link: Callable[[], Link], wake: Wakes) -> None:
        self._open_link, self._wake = open_link, wake
        self._outage = Outage("looking for jobs by polling until it is back")
        self._up = False
        self._wanted = False
        self._stopped = threading.Event()
        self._changed = threading.Event()
        self._came: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._held: _Held | None = None
        self._complained_at = -COMPLAIN_EVERY_S
        # A daemon: nobody waits for a request that may take ten seconds.
        self._thread = threading.Thread(target=self._run, name="broker-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more; what was not settled goes back to the broker."""
        self._stopped.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(2 * TURN_S)

    @property
    def is_up(self) -> bool:
        """Whether messages would arrive now."""
        return self._up

    @property
    def trouble(self) -> str:
        """Why none would; "" while the first connection is being made, too."""
        return self._outage.reason

    def want(self, wanted: bool) -> None:
        """Whether there is room for another job."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    def came(self) -> Iterator[str]:
        """The jobs of messages received since the last call."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._came.get_nowait()

    def settle(self, job: str) -> None:
        """The message of `job` has done its work."""
        held = self._held
        if held is not None and held.job == job:
            held.settled = True
            self._changed.set()

    # In the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                link = self._open_link()
            except BrokerError as error:
                self._fail(error)
                continue
            try:
                self._serve(link, began)
            except BrokerError as error:
                self._fail(error)
            finally:
                self._held = None  # unsettled: the broker offers it again
                link.close()

    def _fail(self, error: BrokerError) -> None:
        self._set_up(False)
        self._stopped.wait(self._outage.failed(error.message))

    def _set_up(self, up: bool) -> None:
        if up != self._up:
            self._up = up
            self._wake.set()

    def _serve(self, link: Link, began: float) -> None:
        consumer = link.listen(lambda message: self._on_message(link, message))
        consuming, checked_at = False, began
        while not self._stopped.is_set():
            self._changed.clear()
            self._settle_held(link)
            wanted = self._wanted and self._held is None
            if wanted != consuming:
                link.do("receive from", consumer.consume if wanted else consumer.cancel)
                consuming = wanted
            if consuming or link.must_drain:
                link.drain(TURN_S)
            else:
                self._changed.wait(TURN_S)
                if time.monotonic() - checked_at > CHECK_EVERY_S:
                    checked_at = time.monotonic()
                    link.waiting()  # whether it still answers
            self._outage.over(link.address.shown)
            self._set_up(True)
            if time.monotonic() - began > STABLE_S:
                self._outage.forget()
        if consuming:
            link.do("leave", consumer.cancel)

    def _on_message(self, link: Link, message: Any) -> None:
        job = job_of(message.body or b"", message.content_type)
        if job is None:
            self._complain(link)
            link.do("settle a message of", message.ack)
        elif self._held is not None or not self._wanted or self._stopped.is_set():
            link.do("give a message back to", message.requeue)
        else:
            self._held = _Held(job, message, time.monotonic())
            self._came.put(job)
            self._wake.set()

    def _settle_held(self, link: Link) -> None:
        held = self._held
        if held is None:
            return
        if held.settled:
            self._held = None
            link.do("settle a message of", held.message.ack)
        elif time.monotonic() - held.since > SETTLE_DEADLINE_S:
            self._held = None
            link.do("give a message back to", held.message.requeue)

    def _complain(self, link: Link) -> None:
        if time.monotonic() - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = time.monotonic()
            log.warning("%s: ignored a message that names no job", link.address.shown)
