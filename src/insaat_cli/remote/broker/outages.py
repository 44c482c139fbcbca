"""An outage of a broker, as its log shows it: once when it begins, once when it ends."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
STABLE_S = 10.0
"""A connection that lasted so long was a good one."""
log = logging.getLogger("insaat.broker")


class Outage:
    """The pause doubles with each failure, times 0.5 to 1.5, until a connection has lasted."""

    def __init__(self, consequence: str, *, chance: Callable[[], float] = random.random) -> None:
        self._consequence, self._chance = consequence, chance
        self._failures = 0
        self.reason = ""
        """Why the broker cannot be used; "" where it can."""

    def failed(self, reason: str) -> float:
        """How long to wait before the next try, in seconds."""
        if not self.reason:
            log.warning("%s; %s", reason, self._consequence)
        self._failures += 1
        self.reason = reason
        longest = min(FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 20), LONGEST_PAUSE_S)
        return longest * (0.5 + self._chance())

    def over(self, where: str) -> None:
        """It answers again; whether for long is not known yet."""
        if self.reason:
            log.info("%s: connected again", where)
        self.reason = ""

    def forget(self) -> None:
        """It has answered for a while: the next failure is the first of another outage."""
        self._failures = 0
