"""Notifications are sent by a thread of their own: a mail server that hangs holds up no job."""

from __future__ import annotations

import logging
import queue
import threading
import time
from contextlib import suppress

from insaat_cli.remote.queue.job_state import JobState
from insaat_cli.remote.worker.notification import Notifier

WAITING = 1000
"""Notifications that are kept while a server does not answer; more are dropped."""
PATIENCE_S = 45.0
"""At the end of a worker, for what waits; a mail and a webhook take 30 s at most."""
HURRY_S = 3.0
log = logging.getLogger("insaat.worker")


class Outbox:
    """At most once, one at a time, in the order in which the jobs ended."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._waiting: queue.Queue[JobState | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._send, name="outbox", daemon=True)

    def job_ended(self, state: JobState) -> None:
        """Send what is configured, soon. Never waits."""
        if not self._notifier.is_needed:
            return
        if not self._thread.is_alive():
            self._thread.start()
        try:
            self._waiting.put_nowait(state)
        except queue.Full:
            log.warning("job %s: not notified, too many notifications are waiting", state.job)

    def close(self, *, hurry: bool) -> None:
        """Send what waits, as far as that takes no longer than an end of a worker may."""
        if self._thread.is_alive():
            deadline = time.monotonic() + (HURRY_S if hurry else PATIENCE_S)
            with suppress(queue.Full):
                self._waiting.put(None, timeout=deadline - time.monotonic())
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _send(self) -> None:
        while (state := self._waiting.get()) is not None:
            try:
                self._notifier.job_ended(state)
            except Exception:
                log.exception("job %s: cannot send the notification", state.job)
