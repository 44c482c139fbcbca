"""Markers that led nowhere, and that this worker passes over for a while: no state, or none that
it can read. Nothing is deleted for that: another version may read it, a submitter may be slow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
FORGOTTEN_AFTER_S = 2 * 3600.0


@dataclass
class _Aside:
    since: float
    until: float
    times: int = 1


class SetAside:
    """By the markers' keys; times are of the monotonic clock that it is given."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._found: dict[str, _Aside] = {}

    def put(self, key: str) -> float:
        """Pass over `key`, longer each time. For how long it is known, in seconds."""
        now = self._clock()
        one = self._found.get(key)
        if one is None:
            one = self._found[key] = _Aside(since=now, until=now, times=0)
        one.times += 1
        one.until = now + min(FIRST_PAUSE_S * 2.0 ** min(one.times - 1, 30), LONGEST_PAUSE_S)
        self._forget(now)
        return now - one.since

    def clear(self, key: str) -> None:
        self._found.pop(key, None)

    def holds(self, key: str) -> bool:
        """Whether `key` is not to be looked at yet."""
        one = self._found.get(key)
        return one is not None and self._clock() < one.until

    def knows(self, key: str) -> bool:
        """Whether `key` led nowhere before."""
        return key in self._found

    def _forget(self, now: float) -> None:
        old = now - FORGOTTEN_AFTER_S
        self._found = {key: one for key, one in self._found.items() if one.until > old}
