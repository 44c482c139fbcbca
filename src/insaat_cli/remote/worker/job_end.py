"""How an attempt at a job ended."""

from __future__ import annotations

from enum import StrEnum


class End(StrEnum):
    """How an attempt ended, for the metrics and the log."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RELEASED = "released"
    RETURNED = "returned"
    """Given back after a fault of the machine or the store, which does not count as an attempt."""
    CANCELLED = "cancelled"
    LOST = "lost"
