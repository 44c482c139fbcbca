"""`--json`: what happens, one JSON object a line on stdout, for other programs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from insaat_cli.runner.events import MemorySample, RunEvent, RunProgress, event_fields

FREQUENT = (MemorySample, RunProgress)
FREQUENT_EVERY_S = 1.0
"""Messages that only tell how things stand are sent on this seldom."""


class JsonLines:
    """A listener that writes every event to a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._sent: dict[tuple[str, type[RunEvent]], float] = {}

    def __call__(self, event: RunEvent) -> None:
        if self._is_due("", event):
            self.write(event_fields(event))

    def of_set(self, name: str, event: RunEvent) -> None:
        """One event of a photo set among others; "" is all of them together."""
        if self._is_due(name, event):
            self.write({**event_fields(event), "set": name or None})

    def _is_due(self, name: str, event: RunEvent) -> bool:
        if not isinstance(event, FREQUENT):
            return True
        now = time.monotonic()
        if now - self._sent.get((name, type(event)), -FREQUENT_EVERY_S) < FREQUENT_EVERY_S:
            return False
        self._sent[name, type(event)] = now
        return True

    def write(self, fields: Mapping[str, Any]) -> None:
        """One line, with the time in UTC; ASCII only, so that no name or locale can break it."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._stream.write(json.dumps({"time": now, **fields}, default=str) + "\n")
        self._stream.flush()
