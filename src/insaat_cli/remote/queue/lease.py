"""The hold of a worker on one job: heartbeats, and the knowledge of when to let go.

The heartbeat runs in a thread of the supervisor, which does no heavy work itself: the
reconstruction is another process. Others count the lease from when they saw the last revision; we
count half of it from before we asked for that revision, so that we have stopped long before anyone
may take the job, whatever either clock says about the time of day.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum

from insaat_cli.errors import NoJobError, StoreError
from insaat_cli.remote.queue.job_state import JobState, Problem, Progress, RefusedError
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import Held

BEATS_PER_LEASE = 6
SELF_STOP_SHARE = 0.5
FINISH_PAUSE_S = 0.5


class LetGo(StrEnum):
    """Why the worker must stop working on a job."""

    LOST = "lost"
    """Somebody else has it, or may soon have it."""
    CANCELLED = "cancelled"


class Lease:
    """A claimed job, from claim to its end. Used by its job's thread and the heartbeat's."""

    def __init__(
        self, queue: Queue, held: Held, *, asked: float, clock: Callable[[], float]
    ) -> None:
        self._queue = queue
        self._held = held
        self._owner = held.state.owner  # which a state has lost once its attempt is over
        self._asked = asked
        self._clock = clock
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._let_go: LetGo | None = None
        self._progress = Progress()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def job(self) -> str:
        return self._held.state.job

    @property
    def owner(self) -> str:
        return self._owner

    @property
    def epoch(self) -> int:
        return self._held.state.epoch

    @property
    def state(self) -> JobState:
        return self._held.state

    @property
    def lease_s(self) -> float:
        return self._held.state.lease_s

    def start(self) -> None:
        self._thread.start()

    def report(self, progress: Progress) -> None:
        """What the next heartbeat says."""
        self._progress = progress

    def let_go(self) -> LetGo | None:
        """Why to stop now; also None-safe against a heartbeat that hangs: it only reads clocks."""
        if self._let_go is None and self._clock() - self._asked > self.lease_s * SELF_STOP_SHARE:
            self._let_go = LetGo.LOST
        return self._let_go

    def succeed(self, manifest_sha256: str) -> Held:
        """Publish. Raises RefusedError if the job is lost or cancelled."""
        return self._finish(
            lambda: self._queue.succeed(self._held, manifest_sha256=manifest_sha256)
        )

    def fail(self, problem: Problem) -> Held:
        return self._finish(lambda: self._queue.fail(self._held, problem))

    def give_up(self, problem: Problem) -> Held:
        return self._finish(lambda: self._queue.give_up(self._held, problem))

    def release(self) -> Held:
        return self._finish(lambda: self._queue.release(self._held))

    def stop(self) -> None:
        """No more heartbeats."""
        self._ended.set()

    def _finish(self, action: Callable[[], Held]) -> Held:
        """One last change; tried until it is certain, or the lease is as good as over."""
        self._ended.set()
        with self._lock:
            while True:
                try:
                    return action()
                except NoJobError as error:
                    raise RefusedError("was deleted") from error
                except StoreError:
                    if self._clock() - self._asked > self.lease_s:
                        raise
                    time.sleep(FINISH_PAUSE_S)

    def _beat(self) -> None:
        pause = self.lease_s / BEATS_PER_LEASE
        while not self._ended.wait(pause):
            with self._lock:
                if self._ended.is_set():
                    return
                pause = self._beat_once()

    def _beat_once(self) -> float:
        """Renew; the seconds until the next time."""
        asked = self._clock()
        usual = self.lease_s / BEATS_PER_LEASE
        try:
            self._held = self._queue.renew(self._held, progress=self._progress)
        except RefusedError:
            self._let_go = self._let_go or LetGo.LOST
            self._ended.set()
            return usual
        except StoreError:
            return usual / 4
        self._asked = asked
        if self._held.state.cancel and self._let_go is None:
            self._let_go = LetGo.CANCELLED
        return usual
