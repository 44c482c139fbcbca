"""What other programs leave us: memory that is available now, and how hard it is to get."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

import psutil

from insaat_cli.machine.limits import UNLIMITED_BYTES, cgroup_folders, machine_limits, read_text

LOOK_EVERY_S = 0.5
HIGH_SHARE = 0.06
"""Less of the limit than this left: high pressure."""
CRITICAL_SHARE = 0.025
STALL_PERCENT = 20.0
"""All processes waited for memory in this share of the last ten seconds."""
STALLED = re.compile(r"^full avg10=([0-9.]+)", re.MULTILINE)
CGROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


class Pressure(IntEnum):
    """How short of memory the machine, or our control group, is."""

    NONE = 0
    HIGH = 1
    CRITICAL = 2
    """The kernel is about to kill something."""


class AvailableMemory:
    """Looks at the machine and at our control groups, seldom enough to cost nothing."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._limit_bytes = machine_limits(root).memory_bytes
        self._groups = list(cgroup_folders(root, "memory"))
        self._looked = -LOOK_EVERY_S
        self.available_bytes = self._limit_bytes
        self.pressure = Pressure.NONE

    def look(self) -> bool:
        """Measure if it is time to; whether it was."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return False
        self._looked = now
        self.available_bytes = min(psutil.virtual_memory().available, *self._group_rooms())
        self.pressure = self._judge()
        return True

    def forget(self) -> None:
        """What was measured holds no more: something large has ended."""
        self._looked = -LOOK_EVERY_S
        self.look()

    def _judge(self) -> Pressure:
        if self.available_bytes < CRITICAL_SHARE * self._limit_bytes:
            return Pressure.CRITICAL
        stalled = self._stalled_percent() > STALL_PERCENT
        if stalled or self.available_bytes < HIGH_SHARE * self._limit_bytes:
            return Pressure.HIGH
        return Pressure.NONE

    def _group_rooms(self) -> list[int]:
        """Limit - use of each group around us; the page cache that can be dropped is no use."""
        rooms = [UNLIMITED_BYTES]
        for folder in self._groups:
            for limit_file, usage_file, cache_name in CGROUP_FILES:
                with suppress(ValueError):
                    limit = int(read_text(folder / limit_file))
                    usage = int(read_text(folder / usage_file))
                    if limit < UNLIMITED_BYTES:
                        cache = _field(read_text(folder / "memory.stat"), cache_name)
                        rooms.append(limit - max(0, usage - cache))
        return rooms

    def _stalled_percent(self) -> float:
        texts = [read_text(folder / "memory.pressure") for folder in self._groups[:1]]
        texts.append(read_text(self._root / "proc/pressure/memory"))
        found = [float(match.group(1)) for text in texts if (match := STALLED.search(text))]
        return max(found, default=0.0)


def _field(text: str, name: str) -> int:
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name and words[1].isdigit():
            return int(words[1])
    return 0
