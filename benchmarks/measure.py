"""Run a command and measure it from outside: seconds, and the peak memory of its process tree."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How a command went."""

    exit_code: int
    seconds: float
    peak_bytes: int
    """Most memory that all its processes held at once: PSS where there is one, else RSS."""
    stopped: bool = False
    """It was asked to end before it was done."""


def measured(command: Sequence[str], *, log: Path, at_most_s: float = math.inf) -> Measured:
    """Run `command` to its end, or for `at_most_s`; what it prints goes to `log`."""
    started = time.monotonic()
    peak, stopped = 0, False
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, tree_bytes(process.pid))
            if not stopped and time.monotonic() - started > at_most_s:
                stopped = True
                process.terminate()
            time.sleep(SAMPLE_S)
    return Measured(
        exit_code=process.returncode,
        seconds=time.monotonic() - started,
        peak_bytes=peak,
        stopped=stopped,
    )


def tree_bytes(pid: int) -> int:
    """Memory of a process and everything it started, now."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_bytes(process) for process in family)


def _bytes(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
