"""Tells how one run stands while it goes on: its memory, the time left."""

from __future__ import annotations

import time
from collections.abc import Collection

from insaat_cli.attempt import Attempt
from insaat_cli.estimate import TimeLeft
from insaat_cli.run_events import Listener, MemorySample, RunEstimate

ESTIMATE_EVERY_S = 0.5


class Meter:
    """Sends MemorySample and RunEstimate as often as they are worth it."""

    def __init__(self, clock: TimeLeft, budget_bytes: int, send: Listener) -> None:
        self.peak_bytes = 0
        self._clock = clock
        self._budget_bytes = budget_bytes
        self._send = send
        self._started = time.monotonic()
        self._estimated = -ESTIMATE_EVERY_S

    def measured(self, attempts: Collection[Attempt], own_bytes: int) -> None:
        """The memory of `attempts` was measured; `own_bytes` of the runner count, too."""
        used = own_bytes + sum(attempt.child.used_bytes for attempt in attempts)
        self.peak_bytes = max(self.peak_bytes, used)
        self._send(
            MemorySample(
                used_bytes=used, peak_bytes=self.peak_bytes, budget_bytes=self._budget_bytes
            )
        )

    def tick(self, attempts: Collection[Attempt]) -> None:
        """Estimate anew if it is time to."""
        elapsed = time.monotonic() - self._started
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
