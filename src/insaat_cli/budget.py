"""How much memory a run may use: what the user says, or a careful share of what there is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from insaat_cli.config_file import Setting, setting_of
from insaat_cli.resources import MachineLimits, default_budget, parse_memory

STRETCH_SHARE = 0.9
"""Of the limit: what one stage may use alone, where nobody set a budget and it must."""


@dataclass(frozen=True, kw_only=True)
class MemoryBudget:
    """Bytes that all stages together may use, and what a single one may where it has to."""

    memory_bytes: int
    stretch_bytes: int
    origin: str


def memory_budget(
    limits: MachineLimits, option: str | None, environment: Mapping[str, str] = os.environ
) -> MemoryBudget:
    """From --max-memory, INSAAT_MAX_MEMORY, the settings file, or the default, in this order.

    What the user says is kept to. The default is not: better beside it than no model.
    Raises UsageError for what is no size.
    """
    setting: Setting | None = setting_of("max_memory", option, environment)
    if setting is None:
        return MemoryBudget(
            memory_bytes=default_budget(limits),
            stretch_bytes=int(limits.memory_bytes * STRETCH_SHARE),
            origin="default",
        )
    budget = parse_memory(setting.value, limits.memory_bytes)
    return MemoryBudget(memory_bytes=budget, stretch_bytes=0, origin=setting.origin)
