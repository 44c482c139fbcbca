"""From the percentages that a program prints to the share of its work that is done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s?%")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a program's work that counts its own percentage."""

    text: str
    """What the lines of this phase contain."""
    weight: float = 1.0
    """Its share of the time, relative to the other phases."""


class PhaseProgress:
    """Follows the phases of a program in their order; a phase may be left out or come again."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = tuple(phases)
        self.total = sum(phase.weight for phase in phases) or 1.0
        self.share = 0.0
        self._index = -1
        self._percent = 0.0

    def read(self, line: str) -> float:
        """The share of all work done after `line`, from 0 to 1; it never falls."""
        percents = PERCENT.findall(line)
        if not percents:
            return self.share
        percent = min(float(percents[-1]), 100.0)
        index = self._phase_of(line, percent)
        if index is None:
            return self.share
        self._index, self._percent = index, percent
        before = sum(phase.weight for phase in self.phases[:index])
        done = before + self.phases[index].weight * percent / 100.0
        self.share = max(self.share, done / self.total)
        return self.share

    def _phase_of(self, line: str, percent: float) -> int | None:
        current = max(self._index, 0)
        for index in range(current, len(self.phases)):
            if self.phases[index].text in line:
                # The same words with a lower figure: the same kind of work once more.
                started_again = index == self._index and percent < self._percent
                if not started_again or self._is_last_of_its_kind(index):
                    return index
        return None

    def _is_last_of_its_kind(self, index: int) -> bool:
        text = self.phases[index].text
        return all(phase.text != text for phase in self.phases[index + 1 :])
