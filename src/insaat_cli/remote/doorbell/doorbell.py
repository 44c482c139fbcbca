"""The doorbell: messages that say "look at this job", so that nobody need look all the time.

A message holds the id of a job and nothing else. What is to be done with the job is read from its
state, and only from there: a message may be lost, repeated, late or forged, and the worst that it
can do is to make a worker look. Nothing here ever raises for what a server or a message does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
from collections.abc import Iterator
from typing import Protocol

from insaat_cli.errors import StoreError
from insaat_cli.remote.doorbell.sqs import Message
from insaat_cli.remote.queue.job_state import check_id

FIRST_HIDDEN_S = 60.0
"""From its reception until the worker has looked at the job."""
RETRY_S = 5.0
LONGEST_TEXT = 1000
log = logging.getLogger("insaat.worker")


class MessageQueue(Protocol):
    """What `sqs.SqsQueue` offers; any method may raise StoreError."""

    def send(self, text: str) -> None: ...
    def receive(self, visibility_s: float) -> Message | None: ...
    def hide(self, message: Message, seconds: float) -> None: ...
    def delete(self, message: Message) -> None: ...
    def visible(self) -> int: ...


class Doorbell:
    """Best effort throughout: what goes wrong is logged, and made good by looking now and then."""

    def __init__(self, messages: MessageQueue) -> None:
        self._messages = messages

    def ring(self, job: str) -> None:
        """Say that `job` is in the queue. After its commit, never before."""
        with _tolerant():
            self._messages.send(text_of(job))

    def hide(self, message: Message, seconds: float) -> None:
        with _tolerant():
            self._messages.hide(message, seconds)

    def delete(self, message: Message) -> None:
        with _tolerant():
            self._messages.delete(message)

    def visible(self) -> int | None:
        """About how many messages wait; None: nobody knows."""
        with _tolerant():
            return self._messages.visible()
        return None

    def receive(self) -> Message | None:
        """Wait for a message. Raises StoreError."""
        return self._messages.receive(FIRST_HIDDEN_S)


class Wakes(Protocol):
    """Who waits for messages."""

    def set(self) -> None:
        """Wake it."""


class Listener:
    """Waits at the door in a thread of its own, one message at a time, and only when wanted."""

    def __init__(self, bell: Doorbell, wake: Wakes) -> None:
        self._bell, self._wake = bell, wake
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._came: queue.SimpleQueue[Message] = queue.SimpleQueue()
        # A daemon: nobody waits for a request that may take twenty seconds. What it still
        # receives after we are gone is hidden from others for a minute, no longer.
        self._thread = threading.Thread(target=self._listen, name="doorbell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more, and let others have what came too late."""
        self._stopped.set()
        self._wanted.set()
        for message in self.came():
            self._bell.hide(message, 0)

    def want(self, wanted: bool) -> None:
        """Whether there is room for another job."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    def came(self) -> Iterator[Message]:
        """What was received since the last call."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._came.get_nowait()

    def _listen(self) -> None:
        while self._wanted.wait() and not self._stopped.is_set():
            try:
                message = self._bell.receive()
            except StoreError as error:
                log.warning("%s; trying again in %d s", error.message, RETRY_S)
                self._stopped.wait(RETRY_S)
                continue
            if message is None:
                continue
            if self._stopped.is_set():
                self._bell.hide(message, 0)
                return
            self._wanted.clear()  # one at a time: the worker says whether it wants another
            self._came.put(message)
            self._wake.set()


def text_of(job: str) -> str:
    return json.dumps({"insaat": 1, "job": job})


def job_of(text: str) -> str | None:
    """The job that a message names; None for what is no message of ours."""
    if len(text) > LONGEST_TEXT:
        return None
    try:
        raw = json.loads(text)
        return (
            check_id(raw["job"]) if raw["insaat"] == 1 and set(raw) == {"insaat", "job"} else None
        )
    except (ValueError, KeyError, TypeError, RecursionError, StoreError):
        return None


@contextlib.contextmanager
def _tolerant() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        log.warning("%s", error.message)
