"""How long a stage may take, and how long it may say nothing: far beyond what was predicted.

A deadline is not there to hurry anybody. It ends what would else hang for ever, holding the memory
of a machine, so it is long enough that nothing that still works ever meets it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SHORTEST_SILENCE_S = 3600.0
SILENCE_FACTOR = 5.0
SHORTEST_STAGE_S = 4 * 3600.0
STAGE_FACTOR = 20.0
SHORTEST_JOB_S = 12 * 3600.0
JOB_FACTOR = 20.0
NEVER = math.inf


@dataclass(frozen=True, kw_only=True)
class StageLimits:
    """Seconds in which one stage works; pauses do not count."""

    silence_s: float = NEVER
    """Without progress, that is without an event and without a line in its log."""
    stage_s: float = NEVER
    """From its start."""


UNLIMITED = StageLimits()


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """What was asked for, in seconds; None: from the prediction, 0: never."""

    silence_s: float | None = None
    stage_s: float | None = None

    def limits(self, predicted_s: float) -> StageLimits:
        """Those of a stage that was predicted to take `predicted_s`."""
        return StageLimits(
            silence_s=limit(self.silence_s, SHORTEST_SILENCE_S, SILENCE_FACTOR * predicted_s),
            stage_s=limit(self.stage_s, SHORTEST_STAGE_S, STAGE_FACTOR * predicted_s),
        )


ONLY_SILENCE = Deadlines(stage_s=0.0)
"""Who waits for a run of his own sees how it goes on, and stops it when he likes."""


def job_limit(asked_s: float | None, predicted_s: float) -> float:
    """The limit of a job whose stages were predicted to take `predicted_s`, like `Deadlines`."""
    return limit(asked_s, SHORTEST_JOB_S, JOB_FACTOR * predicted_s)


def limit(asked_s: float | None, shortest_s: float, foreseen_s: float) -> float:
    """A limit in seconds: what was asked for, else the longer of the two."""
    if asked_s is None:
        return max(shortest_s, foreseen_s)
    return asked_s or NEVER
