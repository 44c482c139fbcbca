"""How much memory a run may use: what the user says, or a careful share of what there is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from insaat_cli.config import Setting, setting_of
from insaat_cli.errors import UsageError
from insaat_cli.formatting import size
from insaat_cli.machine.limits import UNLIMITED_BYTES, MachineLimits

DEFAULT_SHARE = 0.6
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\Z", re.IGNORECASE)
SMALLEST_BUDGET_BYTES = 64_000_000
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


def parse_memory(text: str, limit_bytes: int) -> int:
    """A memory budget: `60%` of the limit, or a size such as `8G`, `512MiB`, `1500m`.

    K, M, G, T are powers of 1000 and Ki, Mi, Gi, Ti of 1024. A bare number is bytes.
    """
    text = text.strip()
    if text.endswith("%"):
        budget = _share(text[:-1]) * limit_bytes
    else:
        match = SIZE.match(text)
        if match is None:
            raise _bad_memory(text)
        number, unit, binary = match.groups()
        power = " kmgt".index(unit.lower()) if unit else 0
        budget = float(number) * (1024 if binary else 1000) ** power
    if budget < SMALLEST_BUDGET_BYTES:
        raise UsageError(
            f"memory budget {text!r} is too small; the minimum is {size(SMALLEST_BUDGET_BYTES)}",
            hint="insaat plan shows what a run needs",
        )
    if budget >= UNLIMITED_BYTES:
        raise _bad_memory(text)
    return int(budget)


def default_budget(limits: MachineLimits) -> int:
    """The budget of a run that was given none."""
    return int(limits.memory_bytes * DEFAULT_SHARE)


def _share(text: str) -> float:
    try:
        share = float(text) / 100
    except ValueError:
        raise _bad_memory(f"{text}%") from None
    if not 0 < share <= 1:
        raise _bad_memory(f"{text}%")
    return share


def _bad_memory(text: str) -> UsageError:
    return UsageError(
        f"invalid memory budget {text!r}", hint="use a share such as 60%, or a size such as 8G"
    )
