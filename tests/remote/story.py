"""What happens in a world: workers, submitters, users, and a network with its bad hours.

The world checks every change as it is applied (see simulation.CheckedStore). Here is checked what
needs the whole story: no two workers that follow the rules work on a job at once; every job whose
submission was accepted is there and ends, in bounded time; and nothing is left lying about.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insaat_cli.errors import InsaatError, JobStateError, MemoryLimitError, StoreError
from insaat_cli.machine.limits import machine_limits
from insaat_cli.remote.queue.job_spec import JobSpec
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.keys import input_key, parse_marker
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import LostRaceError, Pause
from insaat_cli.remote.store.manifest import FileEntry
from insaat_cli.remote.store.probe import PASSED_KEY
from insaat_cli.remote.worker import worker as worker_module
from insaat_cli.remote.worker.fitness import Fit
from insaat_cli.remote.worker.options import WorkerOptions
from insaat_cli.remote.worker.scratch import Scratch
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.simulation import KilledError, Network, Process, SimulatedStore, World
from tests.remote.virtual_time import Child, virtual

LEASE_S = 60.0
POLL_S = 15.0
CHAOS_S = 600.0
CALM_S = 2 * 3600.0
"""A job that was passed over is looked at again after up to an hour and a half; and markers that a
dead worker left are found by later scans."""
JOBS = [f"20260101-00000{number}-aaaaaaa{letter}" for number, letter in enumerate("abc")]
PHOTO = b"a photo"
OPTIONS = WorkerOptions(lease_s=LEASE_S, poll_s=POLL_S, checkpoint_min_s=5.0, threads=1)


@dataclass(frozen=True)
class Plan:
    """How a reconstruction goes: events by their time, its length in seconds, its exit code."""

    events: list[tuple[float, dict[str, Any]]]
    seconds: float
    code: int


@dataclass
class Story:
    world: World
    folder: Path
    accepted: set[str] = field(default_factory=set)
    at_work: dict[str, Child] = field(default_factory=dict)
    calm: bool = False
    gentle: bool = False
    """No worker fails, is killed or cut off: whatever is lost was lost by us."""
    workers: int = 0

    # How reconstructions go ------------------------------------------------------------------

    def plan(self, child: Child) -> Plan:
        chance = self.world.random
        events: list[tuple[float, dict[str, Any]]] = []
        at = 0.0
        for stage in ("one", "two")[: chance.randrange(3)]:
            events.append((at, {"event": "stage_started", "stage": stage}))
            took = chance.random() * 90
            at += took
            done = {"event": "stage_finished", "stage": stage, "seconds": took, "peak_bytes": 1}
            events.append((at, done))
        draw = 0.0 if self.calm or self.gentle else chance.random()
        if draw < 0.6:
            return Plan(events, at + 1.0, 0)
        fault, blame = ("stage", "job") if draw < 0.8 else ("memory", "machine")
        failed = {"event": "attempt_failed", "fault": fault, "blame": blame}
        events.append((at, {**failed, "message": "boom", "hint": "", "stage": "one"}))
        return Plan(events, at + 1.0, 1)

    def began(self, child: Child) -> None:
        other = self.at_work.get(child.job)
        if other is not None:
            names = f"{other.process.name} and {child.process.name}"
            self.world.fail(AssertionError(f"{child.job}: {names} are at work on it"))
        self.at_work[child.job] = child

    def ended(self, child: Child) -> None:
        if self.at_work.get(child.job) is child:
            del self.at_work[child.job]

    def stopped(self, process: Process) -> None:
        """Killed or frozen: what its reconstruction does is no concern of the rules."""
        self.at_work = {
            job: child for job, child in self.at_work.items() if child.process is not process
        }

    # Who takes part --------------------------------------------------------------------------

    def hire(self) -> None:
        self.workers += 1
        process = Process(f"worker-{self.workers}", mortal=not self.gentle)

        def body() -> None:
            try:
                self._work(process)
            except KilledError:
                if not self.calm and not self.world.is_closed:
                    self.hire()
                raise

        self.world.spawn(process, body)

    def _work(self, process: Process) -> None:
        """A whole `insaat worker`."""
        while True:
            worker = worker_module.Worker(
                SimulatedStore(self.world),  # type: ignore[arg-type]
                OPTIONS,
                allowed={"fake": str(self.folder / "fake.yaml")},
                notifier=Silent(),  # type: ignore[arg-type]
                limits=machine_limits(),
            )
            self.world.raw.names[worker.name] = process.name
            worker.scratch = FakeScratch(self.folder / worker.name)
            worker.gate._scratch = worker.scratch
            worker.gate._fitness = Fits(self)  # type: ignore[assignment]
            with contextlib.suppress(StoreError):  # at its start it needs the store, and ends
                worker.run()
            self.world.sleep(POLL_S)

    def submit(self, job: str) -> None:
        def body() -> None:
            world = self.world
            world.sleep(world.random.random() * 100)
            sha256 = hashlib.sha256(PHOTO).hexdigest()
            photo = FileEntry(path="a.jpg", size=len(PHOTO), sha256=sha256)
            spec = JobSpec(job=job, pipeline="fake", preset="normal", photos=(photo,))
            try:
                first = JobState(job=job, status=Status.QUEUED, txn=job)
                self._queue().submit(first, spec.to_bytes())
            except (StoreError, LostRaceError):
                return
            self.accepted.add(job)

        self.world.spawn(Process(f"submit-{job[-1]}", mortal=not self.gentle), body)

    def meddle(self, job: str) -> None:
        """A user who cancels and retries at awkward moments."""

        def body() -> None:
            world, queue = self.world, self._queue()
            for _ in range(world.random.randrange(4)):
                world.sleep(world.random.random() * 200)
                with contextlib.suppress(StoreError, JobStateError):
                    world.random.choice([queue.cancel, queue.retry])(job)

        self.world.spawn(Process(f"user-{job[-1]}"), body)

    def partition(self) -> None:
        def body() -> None:
            world = self.world
            while not self.calm:
                world.sleep(world.random.random() * 100)
                busy = [child.process for child in self.at_work.values()]
                any_one = world.random.choice(world.actors).process
                victim = world.random.choice([any_one, *busy])
                world.trace.append(f"{world.now:8.1f} {victim.name:10} CUT OFF")
                victim.partitioned_until = world.now + world.random.choice([20.0, 50.0, 150.0])

        self.world.spawn(Process("network", mortal=False), body)

    def _queue(self) -> Queue:
        world = self.world
        return Queue(
            SimulatedStore(world),  # type: ignore[arg-type]
            clock=lambda: world.now,
            pause=Pause(world.sleep, world.random.random),
            choose=random.Random(world.random.random()),
        )

    # How it ends -----------------------------------------------------------------------------

    def quiet(self) -> None:
        """The network heals, one new worker is there: from here on jobs end in bounded time."""
        self.calm = True
        self.world.network = Network()
        for actor in self.world.actors:
            actor.process.partitioned_until = 0.0
        self.hire()

    def is_over(self) -> bool:
        states = self.world.raw.states.values()
        return all(history[-1].status.ended for history in states) and not self._markers()

    def _markers(self) -> list[str]:
        """Those of the past. Others stay: of submissions and retries that were announced and may
        still arrive."""
        raw = self.world.raw
        keys = [entry.key for prefix in ("queued/", "running/") for entry in raw.list(prefix)]
        markers = [marker for key in keys if (marker := parse_marker(key))]
        last = {job: history[-1] for job, history in raw.states.items()}
        return [marker.key for marker in markers if marker.is_past(last.get(marker.job))]

    def check(self) -> None:
        raw = self.world.raw
        last = {job: history[-1] for job, history in raw.states.items()}
        open_ones = {job: state for job, state in last.items() if not state.status.ended}
        assert not open_ones, f"a job hangs: {open_ones}"
        assert not self._markers(), f"markers are left: {self._markers()}"
        assert self.accepted <= set(last), "a submission was accepted, and its job is not there"
        for state in last.values():
            if state.status is Status.SUCCEEDED:
                raw.check_result(state)
        if self.gentle:
            assert self.accepted == set(JOBS), "a lost reply was taken for a refusal"
            assert all(state.status is Status.SUCCEEDED for state in last.values())
            lost = [job for job, state in last.items() if state.losses or state.epoch > 1]
            assert not lost, f"lost by workers that never were in trouble: {lost}"


class Silent:
    is_needed = False

    def job_ended(self, state: JobState) -> None:
        """Nobody wants to know."""


class Fits:
    """Some jobs do not fit some workers, while it is not calm."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def look(self, choice: object, *, held_bytes: int) -> Fit:
        story = self._story
        if story.calm or story.gentle or story.world.random.random() > 0.25:
            return Fit()
        return Fit(problem=MemoryLimitError("too little memory"))


class FakeScratch(Scratch):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._own = folder

    @property
    def folder(self) -> Path:
        return self._own

    def problem(self, needed_bytes: int = 0) -> InsaatError | None:
        return None


def play(seed: int, network: Network, workers: int, *, gentle: bool = False) -> World:
    """One story; raises AssertionError for a promise that was broken."""
    world = World(seed, network)
    random.seed(seed)
    world.raw.put(PASSED_KEY, json.dumps({"at": int(time.time())}).encode())
    world.raw.put(input_key(hashlib.sha256(PHOTO).hexdigest()), PHOTO)
    with tempfile.TemporaryDirectory() as folder:
        story = Story(world, Path(folder), gentle=gentle)
        write_pipeline(story.folder)
        world.on_stopped = story.stopped
        with virtual(world, story):
            try:
                _tell(story, workers)
            except BaseException:
                print("\n".join(world.trace[-80:]))
                raise
            finally:
                world.close()
    return world


def _tell(story: Story, workers: int) -> None:
    world = story.world
    for job in JOBS:
        story.submit(job)
        if not story.gentle:
            story.meddle(job)
    for _ in range(workers):
        story.hire()
    if not story.gentle:
        story.partition()
    world.run_until(lambda: False, deadline=CHAOS_S)
    story.quiet()
    world.run_until(story.is_over, deadline=world.now + CALM_S)
    story.check()
