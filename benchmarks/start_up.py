"""Processor time of command lines that only answer: `insaat --version` and help.

    python benchmarks/start_up.py [--runs 10] [--json start_up.json]

Prints user plus system seconds, the median of the runs, with compiled bytecode and a warm disk.
Exit code 1 if one takes longer than its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

LIMITS_S = {"--version": 0.25, "--help": 0.35, "reconstruct --help": 0.35}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path, help="Write the medians there.")
    chosen = parser.parse_args()
    medians = {line: median_s(line.split(), chosen.runs) for line in LIMITS_S}
    for line, seconds in medians.items():
        print(f"insaat {line:<20} {seconds:.2f} s  (limit {LIMITS_S[line]:.2f} s)")
    if chosen.json:
        chosen.json.write_text(json.dumps(medians, indent=2) + "\n", encoding="utf-8")
    return int(any(seconds > LIMITS_S[line] for line, seconds in medians.items()))


def median_s(arguments: list[str], runs: int) -> float:
    """Processor seconds of one run; a first one fills Python's and the disk's caches."""
    processor_s(arguments)
    return statistics.median(processor_s(arguments) for _ in range(runs))


def processor_s(arguments: list[str]) -> float:
    """User and system seconds of `insaat ARGUMENTS`, of that process alone."""
    command = [sys.executable, "-m", "insaat_cli", *arguments]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=silent)
    _, status, usage = os.wait4(pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"insaat {' '.join(arguments)} ended with {code}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
