"""Runs without processes: every attempt ends well at once, and used the memory that it is told.

For properties of whole runs, of which hundreds are tried: planner, scheduler, runner and workspace
are the real ones.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from insaat_cli.machine.available_memory import AvailableMemory, Pressure
from insaat_cli.planning.history import History, Measurement
from insaat_cli.runner import attempt, background_compile, loop, run
from insaat_cli.runner.attempt import Attempt
from insaat_cli.runner.process import ChildSpec
from insaat_cli.workspace.workspace import RESULT_NAME


class PretendedChild:
    """Runs through one turn of the loop, so that others can start beside it."""

    events_fd = -1
    silent = True
    used_bytes = 0
    peak_bytes = 0
    cpu_seconds = 0.0

    def __init__(self, spec: ChildSpec) -> None:
        self.started = time.monotonic()
        self._polled = 0

    def exit_code(self) -> int | None:
        self._polled += 1
        return 0 if self._polled > 1 else None

    def events(self) -> list[dict[str, Any]]:
        return []

    def sample(self) -> bool:
        return False

    def terminate(self) -> None:
        """It has ended."""

    def close(self) -> None:
        """Nothing is open."""


class Idle(AvailableMemory):
    """A machine on which nothing else runs."""

    def __init__(self, available_bytes: int) -> None:
        self.available_bytes = available_bytes
        self.pressure = Pressure.NONE

    def look(self) -> bool:
        return False


class Remembered(History):
    """Measurements kept in memory."""

    def __init__(self) -> None:
        self.measured: dict[str, list[Measurement]] = {}

    def read(self) -> dict[str, list[Measurement]]:
        return self.measured

    def copy(self) -> Remembered:
        other = Remembered()
        other.measured = self.measured
        return other

    def add(self, key: str, measurement: Measurement) -> None:
        self.measured = {**self.measured, key: [*self.measured.get(key, []), measurement]}


class StartedError(Exception):
    """A run has come to its first attempt."""


@contextmanager
def pretended(share_used: float = 1.0, *, start: bool = True) -> Iterator[list[Attempt]]:
    """Attempts that pretend, each using `share_used` of its prediction; all that were started.

    With `start` False the first of them raises StartedError.
    """
    started: list[Attempt] = []

    class Pretended(Attempt):
        def __init__(self, *arguments: Any) -> None:
            if not start:
                raise StartedError
            super().__init__(*arguments)
            self.child.peak_bytes = int(self.spec.option.memory_bytes * share_used)
            folder = self.workspace.scratch(self.spec.stage.name)
            for name in self.spec.stage.outputs:
                path = folder / name
                if name.endswith("/"):
                    path.mkdir()
                    path /= "file"
                path.write_text("something")
            metrics = {one.metric: one.minimum for one in self.spec.stage.expect if one.metric}
            (folder / RESULT_NAME).write_text(json.dumps(metrics))
            started.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempt, "ChildProcess", PretendedChild)
        patch.setattr(run, "Attempt", Pretended)
        patch.setattr(loop, "AvailableMemory", lambda: Idle(10**13))
        patch.setattr(loop, "TICK_S", 0.0)
        patch.setattr(loop, "SHORTEST_TICK_S", 0.0)
        patch.setattr(background_compile, "COMPANION_STAGE", "")
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield started
