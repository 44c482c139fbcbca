"""What `--complete` takes: whether a model may hold more than what was measured."""

from __future__ import annotations

from enum import StrEnum

MODE = "mode"
STAGE = "complete"
"""The stage that completes depth has a parameter of the name `mode`."""
CLOSE_LEVELS = "close_levels"
"""A stage that closes holes has a parameter of this name; 0 closes none."""


class Completion(StrEnum):
    """Whether plain surfaces are completed from their surroundings, and small holes closed."""

    ON = "on"
    OFF = "off"
