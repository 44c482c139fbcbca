"""How far a run is: memory in use, and the time left by predictions and by its own pace."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from insaat_cli.runner.attempt import Attempt
from insaat_cli.runner.events import Listener, MemorySample, RunProgress

ESTIMATE_EVERY_S = 0.5
TRUST_SHARE = 0.3
"""From this share done on, a stage's own pace alone says how long it still takes."""


class Meter:
    """Sends MemorySample and RunProgress as often as they are worth it."""

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
        """Predict the time left again if it is time to."""
        elapsed = time.monotonic() - self._started
        if elapsed - self._estimated >= ESTIMATE_EVERY_S:
            self._estimated = elapsed
            for attempt in attempts:
                self._clock.running(attempt.spec.stage.name, attempt.seconds, attempt.share)
            self._send(
                RunProgress(
                    share=self._clock.share(elapsed),
                    elapsed_seconds=elapsed,
                    seconds_left=self._clock.seconds_left(),
                )
            )


class TimeLeft:
    """The stages of one run, planned, running and finished. Times in seconds."""

    def __init__(self, predicted: Mapping[str, float]) -> None:
        self._predicted = dict(predicted)
        self._measured: dict[str, float] = {}
        self._running: dict[str, tuple[float, float]] = {}
        self._share = 0.0

    def running(self, stage: str, elapsed: float, share: float) -> None:
        """`stage` has run for `elapsed` and says that `share` of it is done."""
        self._running[stage] = (elapsed, min(max(share, 0.0), 1.0))

    def finished(self, stage: str, seconds: float) -> None:
        self._running.pop(stage, None)
        self._measured[stage] = seconds

    def skipped(self, stage: str) -> None:
        """`stage` costs nothing, and says nothing about the pace."""
        self._predicted.pop(stage, None)

    def restarted(self, stage: str) -> None:
        """`stage` starts over."""
        self._running.pop(stage, None)

    def pace(self) -> float:
        """Measured / predicted over the finished stages, held back while few have finished."""
        prior = 0.1 * sum(self._predicted.values())
        predicted = sum(self._predicted[stage] for stage in self._measured)
        return (sum(self._measured.values()) + prior) / max(predicted + prior, 1e-9)

    def seconds_left(self) -> float:
        waiting = [
            seconds
            for stage, seconds in self._predicted.items()
            if stage not in self._measured and stage not in self._running
        ]
        return sum(waiting) * self.pace() + sum(map(self._left_of, self._running))

    def share(self, elapsed: float) -> float:
        """Share of the whole run that is done (0 to 1); it never goes back."""
        left = self.seconds_left()
        self._share = max(self._share, elapsed / max(elapsed + left, 1e-9) if left > 0 else 1.0)
        return min(self._share, 1.0)

    def _left_of(self, stage: str) -> float:
        elapsed, share = self._running[stage]
        planned = self._predicted[stage] * self.pace()
        # Once overdue and silent, a stage is taken to need a tenth of what it has already used.
        by_plan = max(planned - elapsed, 0.1 * elapsed) * (1.0 if share < 1.0 else 0.0)
        if share <= 0.0:
            return by_plan
        by_pace = elapsed * (1.0 - share) / share
        trust = min(1.0, share / TRUST_SHARE)
        return trust * by_pace + (1.0 - trust) * by_plan
