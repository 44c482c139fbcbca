"""One child process group: start, listen, measure, stop.

The child runs behind `guard.py` in a session of its own, so that stopping or measuring it means
its whole tree, and so that it dies with us even when we are killed without warning.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insaat_cli.machine.process_memory import process_memory, resident_bytes, tree_pids
from insaat_cli.pipeline.stage_contract import EVENTS_FD_VARIABLE
from insaat_cli.runner import guard

STOP_DEADLINE_S = 5.0
SAMPLE_EVERY_S = 0.1
TREE_EVERY_S = 0.5
"""Between looks for new grandchildren; a young child has them sooner."""
EXACT_EVERY_S = 1.0
"""Between exact measurements of a child whose resident size does not grow."""
GROWTH = 1.01
ABORT_DEADLINE_S = 2.0
"""For Python to write where each of its threads was."""
FREEING_DEADLINE_S = 2.0
"""For the kernel to take back the memory of what was killed."""
YOUNG_S = 3.0
LOOK_EVERY_S = 0.005
"""While waiting for an end."""
LONGEST_EVENT_BYTES = 1_000_000
CREDENTIAL = re.compile(
    r"AWS_.*|.*_TOKEN|.*_PASSWORD|.*_API_KEY|.*_ACCESS_KEY|.*SECRET.*|.*CREDENTIAL.*"
    r"|INSAAT_BROKER",  # an address that may hold a password
    re.IGNORECASE,
)
URL_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]*:[^/\s]*@", re.IGNORECASE)
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """What to start."""

    arguments: tuple[str, ...]
    folder: Path
    """Its working directory."""
    log: Path
    """Its stdout and stderr are appended here."""
    threads: int
    network: bool = True
    """Whether it may open sockets that lead beyond this machine (Linux; see `no_network`)."""


def is_credential(name: str, value: str) -> bool:
    """Whether a variable of the environment holds a secret, or says where one is."""
    return bool(CREDENTIAL.fullmatch(name)) or has_password(value)


def has_password(text: str) -> bool:
    """Whether there is an address with a password in it."""
    return URL_WITH_PASSWORD.search(text) is not None


def child_environment(inherited: Mapping[str, str], threads: int) -> dict[str, str]:
    """`inherited` without credentials, with thread pools of the given size."""
    kept = {name: value for name, value in inherited.items() if not is_credential(name, value)}
    kept |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONIOENCODING": "utf-8"}


class ChildProcess:
    """A running child. Nothing here blocks but `stop`."""

    def __init__(self, spec: ChildSpec) -> None:
        events_read, events_write = os.pipe()
        lifeline_read, self._lifeline = os.pipe()
        environment = child_environment(os.environ, spec.threads)
        environment[EVENTS_FD_VARIABLE] = str(events_write)
        try:
            with spec.log.open("ab") as log:
                self._process = subprocess.Popen(
                    guarded(spec.arguments, lifeline_read, network=spec.network),
                    cwd=spec.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(events_write, lifeline_read),
                    start_new_session=True,
                )
        except OSError:
            os.close(events_read)
            os.close(self._lifeline)
            raise
        finally:
            os.close(events_write)
            os.close(lifeline_read)
        os.set_blocking(events_read, False)
        self.events_fd = events_read
        self.silent = False
        """Nobody can send events any more."""
        self.pid = self._process.pid
        self.started = time.monotonic()
        self.peak_bytes = 0
        """Of what it would use alone: the same whatever else runs, so that it can be predicted."""
        self.used_bytes = 0
        """PSS: what it adds to all that runs."""
        self.cpu_seconds = 0.0
        """User and system time of it and all it waited for, once it has ended."""
        self._sampled = self._measured = self._tree_seen = 0.0
        self._pids: list[int] = []
        self._highest = self._shared = self._borrowed = 0
        self._paused = False
        self._pending = b""
        self._closed = False

    def events(self) -> list[dict[str, Any]]:
        """What the stage has sent since the last call; lines that are no events are dropped."""
        with suppress(BlockingIOError):
            while not self.silent:
                chunk = os.read(self.events_fd, 65536)
                self.silent = not chunk
                self._pending += chunk
                if len(self._pending) > LONGEST_EVENT_BYTES and b"\n" not in self._pending:
                    self._pending = b""
        *lines, self._pending = self._pending.split(b"\n")
        return [event for line in lines if (event := _parse(line)) is not None]

    def sample(self) -> bool:
        """Measure memory if it is time to; whether it was.

        PSS costs the kernel a walk over every page. The resident size costs nothing and is never
        less, so that while it does not grow there can be no new peak, and it alone is looked at.
        """
        now = time.monotonic()
        if now - self._sampled < SAMPLE_EVERY_S:
            return False
        self._sampled = now
        young = now - self.started < YOUNG_S
        if young or now - self._tree_seen >= TREE_EVERY_S:
            self._tree_seen = now
            self._pids = tree_pids(self.pid)
        resident = sum(map(resident_bytes, self._pids))
        if resident > self._highest * GROWTH or now - self._measured >= EXACT_EVERY_S:
            self._measured = now
            self._highest = max(self._highest, resident)
            measured = [process_memory(pid) for pid in self._pids]
            self.used_bytes = sum(memory.pss_bytes for memory in measured)
            # Its processes borrow from each other, too: once is enough.
            self._borrowed = max(memory.borrowed_bytes for memory in measured)
            self._shared = max(0, resident - self.used_bytes)
        else:
            self.used_bytes = max(0, resident - self._shared)
        self.peak_bytes = max(self.peak_bytes, self.used_bytes + self._borrowed)
        return True

    def pause(self) -> None:
        """Stop the clock of the whole tree but the guard, which must see when we are gone."""
        self._paused = True
        seen: set[int] = set()
        while born := set(tree_pids(self.pid)[1:]) - seen:
            seen |= born
            for pid in born:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._paused:
            self._paused = False
            self._signal(signal.SIGCONT)

    def exit_code(self) -> int | None:
        """None while it runs; then its status, 128 + N where signal N ended it."""
        code = self._reaped()
        if code is None:
            return None
        self._close()
        return code if code >= 0 else 128 - code

    def _reaped(self, how: int = os.WNOHANG) -> int | None:
        """As `Popen.poll`, or with `how` 0 `Popen.wait`; but also how long it computed.

        The kernel adds up what a process and those that it waited for have used: the guard waits
        for the stage. Of what was killed together with the guard it knows nothing.
        """
        if self._process.returncode is None:
            try:
                pid, status, usage = os.wait4(self.pid, how)
            except ChildProcessError:  # whoever started us ignores SIGCHLD: none knows how it ended
                self._process.returncode = 0
                return 0
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self._process.returncode

    def terminate(self) -> None:
        """Ask the whole group to end; `stop` waits for it."""
        self._signal(signal.SIGTERM)
        self.resume()  # a paused process would not hear it

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> None:
        """TERM to the whole group, then, past the deadline, KILL. Returns when it is gone."""
        self.terminate()
        deadline = time.monotonic() + deadline_s
        while self._reaped() is None:
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(LOOK_EVERY_S)
        self._close()

    def kill(self) -> None:
        """KILL to the whole group, at once; its memory is free again when this returns."""
        pids = tree_pids(self.pid)
        self._signal(signal.SIGKILL)
        self._reaped(0)
        deadline = time.monotonic() + FREEING_DEADLINE_S
        while any(map(resident_bytes, pids)) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)

    def abort(self) -> None:
        """ABRT to all but the guard, for which Python's fault handler writes where each thread is;
        then KILL. Returns when it is gone."""
        for pid in tree_pids(self.pid)[1:]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGABRT)
        self.resume()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ABORT_DEADLINE_S)
        self.kill()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._signal(signal.SIGKILL)  # grandchildren that outlived the stage
        os.close(self._lifeline)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Kill what still runs and give back the pipes."""
        if self._reaped() is None:
            self.kill()
        self._close()
        if self.events_fd >= 0:
            os.close(self.events_fd)
            self.events_fd = -1


def guarded(arguments: Sequence[str], lifeline: int, *, network: bool) -> list[str]:
    """The command that runs `arguments` behind the guard."""
    script = str(Path(guard.__file__))
    reach = guard.ANY_NETWORK if network else guard.NO_NETWORK
    return [sys.executable, "-I", "-S", script, str(lifeline), reach, *arguments]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None
