"""Measures a run while it goes on: memory of all its processes, time left."""

from __future__ import annotations

import os
import time
from collections.abc import Collection

from insaat_cli.attempt import Attempt
from insaat_cli.estimate import TimeLeft
from insaat_cli.resources import process_bytes
from insaat_cli.run_events import Listener, MemorySample, RunEstimate

ESTIMATE_EVERY_S = 0.5
OWN_EVERY_S = 2.0
"""Between measurements of the runner itself, whose memory hardly changes."""


class Meter:
    """Sends MemorySample and RunEstimate as often as they are worth it."""

    def __init__(self, clock: TimeLeft, budget_bytes: int, send: Listener) -> None:
        self.peak_bytes = 0
        self._clock = clock
        self._budget_bytes = budget_bytes
        self._send = send
        self._started = time.monotonic()
        self._estimated = -ESTIMATE_EVERY_S
        self._own_bytes = 0
        self._own_measured = -OWN_EVERY_S

    def tick(self, attempts: Collection[Attempt]) -> None:
        """Measure what is due."""
        elapsed = time.monotonic() - self._started
        if elapsed - self._own_measured >= OWN_EVERY_S:
            self._own_measured = elapsed
            self._own_bytes = process_bytes(os.getpid())
        measured = [attempt.child.sample() for attempt in attempts]
        if any(measured):
            used = self._own_bytes + sum(attempt.child.used_bytes for attempt in attempts)
            self.peak_bytes = max(self.peak_bytes, used)
            self._send(
                MemorySample(
                    used_bytes=used, peak_bytes=self.peak_bytes, budget_bytes=self._budget_bytes
                )
            )
        if elapsed - self._estimated >= ESTIMATE_EVERY_S:
            self._estimated = elapsed
            for attempt in attempts:
                self._clock.running(attempt.spec.stage.name, attempt.seconds, attempt.share)
            self._send(
                RunEstimate(
                    share=self._clock.share(elapsed),
                    elapsed_seconds=elapsed,
                    seconds_left=self._clock.seconds_left(),
                )
            )
