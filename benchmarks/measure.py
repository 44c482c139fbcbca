"""Run a command and measure it from outside: its seconds, and the memory of its process tree."""

from __future__ import annotations

import math
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How a command went."""

    exit_code: int
    seconds: float
    cpu_seconds: float
    """User and system time of all its processes: what other programs do does not count."""
    peak_bytes: int
    """Most memory that all its processes held at once: PSS where there is one, else RSS."""
    stopped: bool = False
    """It was asked to end before it was done."""


def measured(
    command: Sequence[str],
    *,
    log: Path,
    at_most_s: float = math.inf,
    environment: Mapping[str, str] | None = None,
) -> Measured:
    """Run `command` to its end, or for `at_most_s`; what it prints goes to `log`.

    `environment` is added to ours.
    """
    started = time.monotonic()
    peak, stopped = 0, False
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                process.returncode = os.waitstatus_to_exitcode(status)
                break
            peak = max(peak, tree_bytes(process.pid))
            if not stopped and time.monotonic() - started > at_most_s:
                stopped = True
                process.terminate()
            time.sleep(SAMPLE_S)
    return Measured(
        exit_code=process.returncode,
        seconds=time.monotonic() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
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
