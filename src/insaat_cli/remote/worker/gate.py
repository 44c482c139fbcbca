"""The gate checks a worker before it claims a job: first its machine, then the job.

A claim that must be given back costs everybody: the job loses time, other workers a chance. So
what can be known before is asked before, and what fails all the same is remembered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from insaat_cli.errors import DiskFullError, Fault, InsaatError, MemoryLimitError
from insaat_cli.formatting import size
from insaat_cli.remote.queue.job_state import Problem, RefusedError, Status, UnreadableStateError
from insaat_cli.remote.queue.keys import Marker
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.refusals import nobody_can, refuse, too_little_bytes
from insaat_cli.remote.queue.state_writes import Held, read
from insaat_cli.remote.worker.admission import Choice
from insaat_cli.remote.worker.blame import Blame, Trouble
from insaat_cli.remote.worker.fitness import MEMORY_HINT, Fit, Fitness
from insaat_cli.remote.worker.job_end import End
from insaat_cli.remote.worker.metrics import Metrics
from insaat_cli.remote.worker.readiness import (
    LONGEST_PASS_S,
    LONGEST_REST_S,
    BackOff,
    PassedOver,
    Readiness,
)
from insaat_cli.remote.worker.scratch import Scratch

OF_THE_JOB = {Fault.MEMORY, Fault.MISSING, Fault.USAGE}
"""What one job asks for and another may not: no reason to rest after the first."""
SUSPICIOUS = {Fault.STAGE}
"""What one job may do to itself, and a broken machine does to all: crashes, nonsense, hanging."""
FAILED_IN_A_ROW = 3
"""Different jobs, after which the machine is suspected and not they."""
HANDS_OFF_S = 6 * 3600.0
"""From jobs that failed on a suspected machine: it must not be the one that uses up their tries."""
log = logging.getLogger("insaat.worker")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who claims, and for how long."""

    name: str
    machine: str
    """The same for all workers of a machine; part of a key."""
    lease_s: float


class Gate:
    """Used by the worker's main thread only; `reason` may be read by any."""

    def __init__(
        self,
        queue: Queue,
        owner: Owner,
        fitness: Fitness,
        scratch: Scratch,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        first_pause_s: float,
        too_small: InsaatError | None = None,
    ) -> None:
        """`too_small`: why this worker can run no job at all, whatever comes."""
        self._queue, self._owner, self._metrics = queue, owner, metrics
        self._fitness, self._scratch, self._too_small = fitness, scratch, too_small
        self._readiness = Readiness(BackOff(first_s=first_pause_s, longest_s=LONGEST_REST_S), clock)
        self._passed = PassedOver(BackOff(first_s=first_pause_s, longest_s=LONGEST_PASS_S), clock)
        self._returned_in_a_row = 0
        self._failed_in_a_row: dict[str, None] = {}
        """Jobs, the oldest first."""
        self.trouble: Trouble | None = None
        """The latest."""

    @property
    def reason(self) -> str:
        """Why the worker takes no jobs now; "" where it does."""
        return self._readiness.reason

    @property
    def on_trial(self) -> bool:
        """Whether the worker comes from a rest: then one job shows whether it works again."""
        return self._readiness.on_trial

    def open(self) -> None:
        """Look at the machine itself, if it is time to. Raises NotWritableError and UsageError
        for a work folder that is wrong from the start."""
        problem = self._scratch.problem()
        if problem is not None and not isinstance(problem, DiskFullError):
            raise problem

    def look(self) -> bool:
        """Whether the machine can take jobs now."""
        if self._readiness.may_try():
            problem = self._too_small or self._scratch.problem()
            if problem is not None:
                self.trouble = Trouble.of(problem, self._scratch.where)
                self._rest(problem.message)
            else:
                if self.reason:
                    log.info("worker %s: ready again", self._owner.name)
                self._readiness.passes()
        self._metrics.set("ready", 0.0 if self.reason else 1.0)
        return not self.reason

    def admits(self, marker: Marker) -> bool:
        """Whether the job may be looked at; False for one that was passed over a while ago."""
        return not self._passed.holds(marker.job)

    def fit(self, choice: Choice, *, held_bytes: int) -> Fit:
        """What the job would meet here; `held_bytes` of the disk are for those that run."""
        fit = self._fitness.look(choice, held_bytes=held_bytes)
        if fit.problem is None and choice.marker.epoch:
            problem = self._outgrown(choice)
            fit = fit if problem is None else Fit(problem=problem)
        return fit

    def _outgrown(self, choice: Choice) -> MemoryLimitError | None:
        """Why a job that ran out of memory elsewhere is left to larger workers. Where it ran out of
        it here, it may be tried again: other programs may have had it."""
        job, here_bytes = choice.marker.job, choice.grant.memory_bytes
        tried_bytes = too_little_bytes(self._queue.store, job, but=self._owner.machine)
        if tried_bytes < here_bytes:
            return None
        return MemoryLimitError(
            f"the job ran out of memory with {size(tried_bytes)} on another machine, and gets "
            f"{size(here_bytes)} on this worker",
            hint=MEMORY_HINT,
        )

    def decline(self, marker: Marker, problem: InsaatError, *, beside_others: bool) -> Held | None:
        """Leave the job in the queue for a while. The state, if that was one time too many.

        `beside_others`: it may be that it only does not fit beside the jobs that run."""
        pause_s = self._passed.add(marker.job)
        if beside_others and isinstance(problem, DiskFullError):
            return None
        self._metrics.add("jobs_declined_total")
        self.trouble = trouble = Trouble.of(problem, self._scratch.where)
        log.warning(
            "job %s: skipped, next check in %d s: %s",
            marker.job,
            pause_s,
            problem.message,
        )
        try:
            held = read(self._queue.store, marker.job)
        except UnreadableStateError:
            return None
        if held is None:
            return None
        if held.state.status is not Status.QUEUED:
            # Nobody claims what he declines, so nobody else here would find that it is stale.
            self._queue.tidy(marker, held.state)
            return None
        refusals = refuse(
            self._queue.store,
            held.state,
            trouble.problem,
            machine=self._owner.machine,
            begun=False,
        )
        hopeless = nobody_can(marker.job, refusals)
        return None if hopeless is None else self._end(marker, hopeless)

    def _end(self, marker: Marker, problem: Problem) -> Held | None:
        """Only an owner may end a job: whoever else had it meanwhile keeps it."""
        owner = self._owner
        held = self._queue.claim(marker, owner=owner.name, lease_s=owner.lease_s)
        if held is None:
            return None
        log.warning("job %s: %s", marker.job, problem.message)
        try:
            return self._queue.give_up(held, problem)
        except RefusedError:
            return None

    def ended(self, job: str, end: End, trouble: Trouble | None) -> None:
        """What an attempt taught: after a fault of the machine it rests, or leaves the job."""
        if end is End.SUCCEEDED:
            self._well()
        if trouble is None:
            return
        if end is End.FAILED and trouble.blame is Blame.JOB:
            self._failed(job, trouble.problem)
        if end is not End.RETURNED:
            return
        self.trouble = trouble
        self._metrics.add("machine_faults_total", label=f'fault="{trouble.problem.fault.value}"')
        self._passed.add(job)
        self._returned_in_a_row += 1
        if trouble.problem.fault not in OF_THE_JOB or self._returned_in_a_row > 1:
            self._rest(trouble.problem.message)

    def _well(self) -> None:
        """The machine did a whole job: what failed here before may be tried here again."""
        self._returned_in_a_row = 0
        for job in self._failed_in_a_row:
            self._passed.release(job)
        self._failed_in_a_row = {}
        self._readiness.well()

    def _failed(self, job: str, problem: Problem) -> None:
        """A job failed. Its next try is left to others for a while; where different jobs fail one
        after the other, the machine is suspected, and keeps its hands off them."""
        if problem.fault not in SUSPICIOUS:
            self._returned_in_a_row = 0
            self._readiness.well()  # it worked well enough to find fault with the photos
            return
        self._passed.add(job)
        was_suspected = len(self._failed_in_a_row) >= FAILED_IN_A_ROW
        self._failed_in_a_row[job] = None
        number = len(self._failed_in_a_row)
        if number >= FAILED_IN_A_ROW:
            for failed in [job] if was_suspected else self._failed_in_a_row:
                self._passed.hold(failed, HANDS_OFF_S)
            self._metrics.add("quarantines_total")
            self._rest(f"{number} different jobs in a row failed here, the last: {problem.message}")

    def _rest(self, reason: str) -> None:
        pause_s = self._readiness.fault(reason)
        self._metrics.set("ready", 0.0)
        log.warning(
            "worker %s: not ready, next check in %d s: %s", self._owner.name, pause_s, reason
        )
