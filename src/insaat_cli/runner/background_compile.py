"""The process that compiles in the background during the first run after installation.

It is no stage: nothing waits for it, and nobody misses it when it fails. It ends with the run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import insaat_cli
from insaat_cli.machine.numba_cache import Cache
from insaat_cli.runner.attempt import Attempt
from insaat_cli.runner.process import ChildProcess, ChildSpec
from insaat_cli.workspace.workspace import remove

MODULE = "insaat_cli.stages.precompile"
NAME = "precompile"
COMPANION_STAGE = "insaat_cli.stages.features"
"""It starts with this stage, after which there is time until compiled code is needed."""
NEEDS_BYTES = 500_000_000
"""So much of the budget must be free beside the largest stage: it must never make one wait."""


class Precompiling:
    """Not started, running or over."""

    def __init__(self) -> None:
        self._child: ChildProcess | None = None
        self._scratch: Path | None = None
        self._tried = False

    def begin(self, started: Attempt, free_bytes: int) -> None:
        """Start it, once, beside the right stage, if there is something to compile and memory."""
        if self._tried or started.spec.stage.run != COMPANION_STAGE:
            return
        self._tried = True
        if free_bytes < NEEDS_BYTES:
            return
        if Cache.found(os.environ, Path(insaat_cli.__file__).parent).warm:
            return
        workspace = started.workspace
        self._scratch = workspace.scratch(NAME)
        try:
            self._scratch.mkdir(parents=True)
            self._child = ChildProcess(
                ChildSpec(
                    arguments=(sys.executable, "-P", "-m", MODULE, str(self._scratch)),
                    folder=self._scratch,
                    log=workspace.log(NAME),
                    threads=1,
                )
            )
        except OSError:
            self.close()

    def used_bytes(self) -> int:
        """What it uses now."""
        if self._child is None:
            return 0
        if self._child.exit_code() is not None:
            self.close()
            return 0
        self._child.sample()
        return self._child.used_bytes

    def close(self) -> None:
        """End it, if it runs; it will not start again."""
        self._tried = True
        if self._child is not None:
            self._child.close()
            self._child = None
        if self._scratch is not None:
            remove(self._scratch)
            self._scratch = None
