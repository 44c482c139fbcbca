"""What happens when something that a test needs is not there."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip at home; fail under CI, where everything that a test needs must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}: not available, and CI must have it")
    pytest.skip(f"{what}: not available here")
