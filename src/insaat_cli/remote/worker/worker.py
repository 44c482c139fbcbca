"""The worker: takes jobs from a queue and runs them, as many at once as the machine can hold.

The main thread only looks into the queue, starts attempts and waits; each attempt has a thread and
a process tree of its own. A worker may be stopped in any way at any time.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from insaat_cli.errors import ERROR_OF_FAULT, ExitCode, InsaatError, JobStateError, StoreError
from insaat_cli.machine.limits import MachineLimits, machine_limits
from insaat_cli.machine.memory_budget import memory_budget
from insaat_cli.planning.history import History
from insaat_cli.remote.broker.broker import Broker
from insaat_cli.remote.broker.inbox import NoInbox
from insaat_cli.remote.queue.attempts import write_loss
from insaat_cli.remote.queue.cleanup import forget_attempts, remove_objects
from insaat_cli.remote.queue.keys import Marker
from insaat_cli.remote.queue.lease import Lease
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.refusals import machine_name
from insaat_cli.remote.queue.state_writes import Pause
from insaat_cli.remote.store.probe import needs_probe, probe_for_all
from insaat_cli.remote.store.protocol import Store
from insaat_cli.remote.worker.admission import Choice, Grant, part_of
from insaat_cli.remote.worker.fitness import Fitness, too_small_for_any
from insaat_cli.remote.worker.gate import Gate, Owner
from insaat_cli.remote.worker.job_end import End
from insaat_cli.remote.worker.job_forecast import open_admission
from insaat_cli.remote.worker.job_run import JobRun
from insaat_cli.remote.worker.metrics import Metrics, StatusServer
from insaat_cli.remote.worker.notification import Notifier
from insaat_cli.remote.worker.options import WorkerOptions
from insaat_cli.remote.worker.outbox import Outbox
from insaat_cli.remote.worker.run_context import RunContext
from insaat_cli.remote.worker.scratch import Scratch
from insaat_cli.remote.worker.waking import StopFlag, Waker

WATCHED_IDLE = 16
WATCHED_BUSY = 4
"""Jobs of others that are watched at a time: in a large fleet each job has a few watchers."""
WATCHES_PER_LEASE = 4
PATROL_S = 300.0
"""Between looks at states that no marker may announce."""
HEALTHY_POLLS = 6
FIRST_PAUSE_POLLS = 6
"""Of the first rest after a fault of this machine."""
MAX_RACES_A_LOOK = 3
"""After so many claims that came too late the queue is listed again rather than worked through."""
LATE_SHARE = 0.25
"""Of the usual pause, before that."""
MAX_DECLINED_A_LOOK = 16
"""Each costs a look into its spec; the others come at the next."""
log = logging.getLogger("insaat.worker")


@dataclass
class _Slot:
    key: str
    """Of the marker by which it was found; the admission knows it by that."""
    lease: Lease
    run: JobRun
    disk_bytes: int
    """What it is predicted to write."""
    thread: threading.Thread | None = None
    end: End | None = None


class Worker:
    """Work on the jobs of one store until told to stop."""

    def __init__(
        self,
        store: Store,
        options: WorkerOptions,
        *,
        allowed: Mapping[str, str],
        notifier: Notifier,
        broker: Broker | None = None,
        limits: MachineLimits | None = None,
    ) -> None:
        self.options = options
        self.store = store
        self.outbox = Outbox(notifier)
        self.name = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"
        self.metrics = Metrics()
        self.queue = Queue(store, clock=time.monotonic, pause=Pause())
        machine = machine_name()
        self.context = RunContext(
            store=store,
            machine=machine,
            allowed=allowed,
            metrics=self.metrics,
            stop_now=StopFlag(),
            child_deadline_s=options.stop_s,
            deadlines=options.deadlines,
            job_s=options.job_s,
            network=options.network,
            checkpoint_min_s=options.checkpoint_min_s,
        )
        limits = limits or machine_limits()
        self.scratch = Scratch(options.work_folder, floor_bytes=options.disk_floor_bytes)
        memory_bytes = memory_budget(limits, options.max_memory).memory_bytes
        whole = Grant(memory_bytes=memory_bytes, threads=options.threads or limits.cores)
        self.admission = open_admission(store, allowed, options.concurrency, whole)
        self.gate = Gate(
            self.queue,
            Owner(name=self.name, machine=machine, lease_s=options.lease_s),
            Fitness(store, allowed, History(), self.scratch),
            self.scratch,
            self.metrics,
            clock=time.monotonic,
            first_pause_s=FIRST_PAUSE_POLLS * options.poll_s,
            too_small=too_small_for_any(allowed, part_of(whole, options.concurrency or 1)),
        )
        self.running: list[_Slot] = []
        self._is_ready = False
        self.draining = False
        self.code = ExitCode.DONE
        self._taken = 0
        self._is_late = False
        """Others were faster than this worker at its last look."""
        self._wake = Waker()
        self._sweep_at = time.monotonic()
        self._markers: dict[str, Marker] = {}
        """Of queued jobs, as far as this worker knows."""
        self._standing: frozenset[str] = frozenset()
        """Jobs that were in the queue at the last sweep, and not taken."""
        self.inbox = (
            broker.inbox(self.queue, self._wake, options.tags) if broker is not None else NoInbox()
        )
        self._busy_at = self._scanned_at = self._watched_at = time.monotonic()
        self._patrol_at = self._busy_at + PATROL_S * random.random()  # noqa: S311

    def run(self) -> ExitCode:
        """Raises StoreError if the store cannot hold a queue or cannot be reached at the start."""
        if needs_probe(self.store):  # a store that cannot be read says so at once
            self._spread_start()
            if needs_probe(self.store):
                probe_for_all(self.store)
        else:
            self._spread_start()
        self._busy_at = self._scanned_at = time.monotonic()
        log.info("worker %s: %s", self.name, self.store.describe())
        self.gate.open()
        server = self._status_server()
        with self._signals():
            try:
                self.inbox.start()
                while not self._is_over():
                    self._collect()
                    self._look()
                    self._wake.wait(self._nap())
            finally:
                self._stop_all()
                if server:
                    server.stop()
                self.scratch.close()
        self._wake.close()
        return self.code

    def _spread_start(self) -> None:
        with self._signals():
            self._wake.wait(self.options.start_spread_s * random.random())  # noqa: S311

    # One turn --------------------------------------------------------------------------------

    def _look(self) -> None:
        """Claim a job if there is room, and watch over those of others."""
        try:
            self._is_ready = self.gate.look()
            now = time.monotonic()
            if now - self._watched_at >= self.options.lease_s / WATCHES_PER_LEASE:
                self._watched_at = now
                self._watch()
            self._walk(now)
            if self.inbox.has_broker:
                self.metrics.set("broker_connected", float(self.inbox.is_up))
            looked = self._learn()
            self._fill()
            self.inbox.settle(slot.lease.job for slot in self.running)
            self.inbox.want(self._may_claim())
            if looked and self.inbox.is_up:
                self._remind()
            self._scanned_at = time.monotonic()
            self.metrics.set("last_scan_timestamp_seconds", time.time())
        except StoreError as error:
            self.metrics.add("store_errors_total")
            log.warning("%s", error.message)

    def _watch(self) -> None:
        for state in self.queue.watch(WATCHED_BUSY if self.running else WATCHED_IDLE):
            self.metrics.add("jobs_lost_total")
            log.warning(
                "job %s: its worker stopped responding; now %s", state.job, state.status.value
            )
            with suppress(StoreError):
                write_loss(self.store, state)
            if state.status.ended:
                forget_attempts(self.store, state)
                self.outbox.job_ended(state)
            self.inbox.changed(state.job, state)

    def _walk(self, now: float) -> None:
        """Look for jobs that no marker announces."""
        if now < self._patrol_at:
            return
        self._patrol_at = now + PATROL_S * random.uniform(0.7, 1.3)  # noqa: S311
        for state in self.queue.patrol():
            self.metrics.add("markers_restored_total")
            log.warning("job %s: its marker was missing; put back", state.job)
        for state in self.queue.expired():
            with suppress(JobStateError):  # retried meanwhile
                self.queue.mark_removing(state.job)
                remove_objects(self.store, state.job)
                log.info("job %s: deleted, %d days after its end", state.job, state.keep_days)

    def _may_claim(self) -> bool:
        stopping = self.draining or self.context.stop_now.is_set()
        enough = self.options.once and self._taken > 0
        enough = enough or (self.gate.on_trial and bool(self.running))
        return self._is_ready and not stopping and not enough and self.admission.has_room()

    def _learn(self) -> bool:
        """What waits: by messages, and by looking when it is time to; whether it was."""
        self._markers |= {marker.key: marker for marker in self.inbox.received()}
        now = time.monotonic()
        is_up = self.inbox.is_up
        counts = self.options.metrics_port is not None  # for autoscaling; busy workers, too
        if (is_up and now < self._sweep_at) or not (is_up or counts or self._may_claim()):
            return False
        self._sweep_at = now + self.options.sweep_s * random.uniform(0.7, 1.0)  # noqa: S311
        self.metrics.add("queue_scans_total")
        found = self.queue.candidates(self.options.tags)
        self._markers = {marker.key: marker for marker in found}
        if counts:
            self.metrics.set("queued_jobs", len(found))
        return True

    def _remind(self) -> None:
        """Ring again for jobs that nobody took since the last sweep: their message may be lost."""
        left = frozenset(self._markers)
        self.inbox.resend(self._markers[key].job for key in left & self._standing)
        self._standing = left

    def _fill(self) -> None:
        """Claim what fits beside what runs, the best first, until nothing more does."""
        declined, races = 0, self.queue.races_lost
        self._is_late = False
        while self._may_claim() and declined < MAX_DECLINED_A_LOOK and not self._is_late:
            choices = self.admission.choose(
                [marker for marker in self._markers.values() if self.gate.admits(marker)]
            )
            if not choices:
                return
            idle = {choice.marker.key for choice in choices}
            try:
                for choice in choices:
                    if not self._may_claim_another():
                        break
                    held_bytes = sum(slot.disk_bytes for slot in self.running)
                    fit = self.gate.fit(choice, held_bytes=held_bytes)
                    if fit.problem is not None:
                        declined += 1
                        self._decline(choice.marker, fit.problem)
                        continue
                    del self._markers[choice.marker.key]
                    if self._claim(choice, fit.disk_bytes):
                        idle.discard(choice.marker.key)
                    self._is_late = self.queue.races_lost - races >= MAX_RACES_A_LOOK
                    if self._is_late:
                        break
            finally:
                for key in idle:
                    self.admission.ended(key)

    def _may_claim_another(self) -> bool:
        if self.gate.on_trial and self.running:
            return False
        return not (self.options.once and self._taken) and not self.context.stop_now.is_set()

    def _decline(self, marker: Marker, problem: InsaatError) -> None:
        ended = self.gate.decline(marker, problem, beside_others=bool(self.running))
        if ended is not None:
            del self._markers[marker.key]
            self.inbox.changed(marker.job, ended.state)
            self.outbox.job_ended(ended.state)

    def _claim(self, choice: Choice, disk_bytes: int) -> bool:
        asked = time.monotonic()
        held = self.queue.claim(choice.marker, owner=self.name, lease_s=self.options.lease_s)
        if held is None:
            return False
        self._taken += 1
        self.inbox.claimed(held.state)
        lease = Lease(self.queue, held, asked=asked, clock=time.monotonic)
        log.info(
            "job %s: claimed under epoch %d, with %d MB and %d threads",
            lease.job,
            lease.epoch,
            choice.grant.memory_bytes // 1_000_000,
            choice.grant.threads,
        )
        folder = self.scratch.folder / f"{lease.job}-{lease.epoch}"
        run = JobRun(self.context, lease, choice.grant, folder)
        slot = _Slot(choice.marker.key, lease, run, disk_bytes)
        slot.thread = threading.Thread(target=self._work, args=(slot,), name=lease.job)
        self.running.append(slot)
        self.metrics.set("jobs_running", len(self.running))
        slot.thread.start()
        return True

    def _work(self, slot: _Slot) -> None:
        try:
            slot.end = slot.run.run()
        except Exception:
            # A fault of ours: the lease runs out, and the job is counted as lost.
            log.exception("job %s: unexpected error", slot.lease.job)
            slot.end = End.LOST
        finally:
            self._wake.set()

    def _collect(self) -> None:
        for slot in [slot for slot in self.running if slot.end is not None]:
            self.running.remove(slot)
            self.admission.ended(slot.key)
            assert slot.end is not None
            log.info("job %s: %s", slot.lease.job, slot.end.value)
            self.metrics.add("jobs_total", label=f'end="{slot.end.value}"')
            self.metrics.set("jobs_running", len(self.running))
            self._busy_at = time.monotonic()
            self.gate.ended(slot.lease.job, slot.end, slot.run.trouble)
            final = slot.run.final
            self.inbox.changed(slot.lease.job, final)
            if final is not None and final.status.ended:
                self.outbox.job_ended(final)

    def _nap(self) -> float:
        """Until the next look; with jitter, so that a fleet spreads itself over time."""
        if self.options.once and not self.running:
            return 0.0
        pause_s = self.options.poll_s * random.uniform(0.7, 1.3)  # noqa: S311
        return pause_s * LATE_SHARE if self._is_late else pause_s

    def _is_over(self) -> bool:
        self._collect()
        if self.running:
            return False
        if self.draining or self.context.stop_now.is_set():
            return True
        looked = self._scanned_at > self._busy_at
        if self.options.once and (self._taken or looked):
            if self.gate.trouble is not None:
                self.code = ERROR_OF_FAULT[self.gate.trouble.problem.fault].code
            return True
        idle = self.options.idle_exit_s
        return idle is not None and looked and time.monotonic() - self._busy_at >= idle

    # Start and end ---------------------------------------------------------------------------

    def _stop_all(self) -> None:
        in_hurry = self.context.stop_now.is_set()
        self.context.stop_now.set()
        for slot in self.running:
            assert slot.thread is not None
            slot.thread.join()
        self._collect()
        self.inbox.stop()
        self.outbox.close(hurry=in_hurry)

    def _status_server(self) -> StatusServer | None:
        if self.options.metrics_port is None:
            return None
        server = StatusServer(
            self.options.metrics_host,
            self.options.metrics_port,
            self.metrics,
            healthy=self.is_healthy,
            unready=lambda: self.gate.reason,
            note=lambda: self.inbox.trouble,
        )
        server.start()
        log.info("status at http://%s:%d/metrics", self.options.metrics_host, server.port)
        return server

    def is_healthy(self) -> bool:
        """Whether the queue could be read not too long ago."""
        return time.monotonic() - self._scanned_at < HEALTHY_POLLS * max(self.options.poll_s, 5.0)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """TERM and INT give the jobs back; USR1 finishes them first. Only in the main thread.

        The handlers take no locks: see `waking`, which also ends the nap."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGINT:
                self.code = ExitCode.INTERRUPTED
            self.context.stop_now.set()

        def drain(number: int, frame: FrameType | None) -> None:
            self.draining = True

        handlers = {signal.SIGTERM: stop, signal.SIGINT: stop}
        if hasattr(signal, "SIGUSR1"):
            handlers[signal.SIGUSR1] = drain
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            with self._wake.on_signals():
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
