"""What `--background` takes: what becomes of a background that stands still."""

from __future__ import annotations

from enum import StrEnum

PARAMETER = "background"
"""A stage that can leave out such a background has a parameter of this name."""


class Background(StrEnum):
    """Whether a background that stands still while the subject turns is left out."""

    AUTO = "auto"
    KEEP = "keep"
