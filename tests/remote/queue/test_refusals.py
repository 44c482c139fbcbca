"""A fault of a machine is none of the job; and a job that fits nobody ends all the same."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insaat_cli.errors import (
    DiskFullError,
    Fault,
    InsaatError,
    MemoryLimitError,
    MissingError,
    NotWritableError,
    PhotosError,
    StageError,
    StoreError,
    UsageError,
)
from insaat_cli.remote.queue import job_state as transitions
from insaat_cli.remote.queue.job_spec import NotAllowedError, OutdatedError
from insaat_cli.remote.queue.job_state import JobState, Problem, Status
from insaat_cli.remote.queue.keys import refusal_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.refusals import (
    MAX_RETURNED,
    Refusal,
    nobody_can,
    read_refusals,
    refuse,
    too_little_bytes,
)
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import CorruptError, NotThereError, UncertainError
from insaat_cli.remote.worker.admission import Choice, Grant
from insaat_cli.remote.worker.blame import Blame, Trouble, blame_of
from insaat_cli.remote.worker.fitness import Fit
from insaat_cli.remote.worker.gate import Gate, Owner
from insaat_cli.remote.worker.job_end import End
from insaat_cli.remote.worker.metrics import Metrics
from insaat_cli.remote.worker.readiness import BackOff, PassedOver, Readiness
from insaat_cli.remote.worker.scratch import Scratch
from insaat_cli.workspace.workspace import disk_full

JOB = "20260101-000000-aaaaaaaa"
LITTLE = Problem(fault=Fault.MEMORY, message="sparse needs about 3.0 GB of memory")
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Blame.MACHINE),
        (OSError(errno.EROFS, "Read-only file system"), Blame.MACHINE),
        (DiskFullError("full"), Blame.MACHINE),
        (NotWritableError("read-only"), Blame.MACHINE),
        (MemoryLimitError("too little"), Blame.MACHINE),
        (MissingError("no program"), Blame.MACHINE),
        (OutdatedError("too old"), Blame.MACHINE),
        (NotAllowedError("no such pipeline here"), Blame.MACHINE),
        (UncertainError("no answer"), Blame.STORE),
        (StoreError("no rights"), Blame.STORE),
        (NotThereError("photos are gone"), Blame.JOB),
        (CorruptError("photos are damaged"), Blame.JOB),
        (UsageError("no such preset"), Blame.JOB),
        (PhotosError("too few"), Blame.JOB),
        (StageError("crashed"), Blame.JOB),
    ],
)
def test_whose_fault_it_is(error: InsaatError | OSError, blame: Blame) -> None:
    assert blame_of(error) is blame
    assert Trouble.of(error, Path("/work")).blame is blame


def test_a_full_disk_is_told_with_its_folder() -> None:
    trouble = Trouble.of(OSError(errno.ENOSPC, "No space left on device"), Path("/work"))
    assert (
        trouble.problem.fault is Fault.STAGE and "disk that holds /work" in trouble.problem.message
    )


# Rests ----------------------------------------------------------------------------------------


def test_rests_grow_to_a_bound_and_differ() -> None:
    back_off = BackOff(first_s=60.0, longest_s=600.0, chance=lambda: 0.5)
    assert [back_off.pause_s(n) for n in (1, 2, 3, 4, 5, 500)] == [60, 120, 240, 480, 600, 600]
    spread = [BackOff(first_s=60.0, longest_s=600.0).pause_s(1) for _ in range(50)]
    assert min(spread) >= 30 and max(spread) <= 90 and len(set(spread)) > 40


def test_a_machine_rests_longer_each_time_until_a_job_goes_well() -> None:
    now = [0.0]
    ready = Readiness(
        BackOff(first_s=10.0, longest_s=600.0, chance=lambda: 0.5), clock=lambda: now[0]
    )
    assert ready.may_try() and not ready.reason
    assert ready.fault("full") == 10 and ready.reason == "full"
    now[0] = 9.9
    assert not ready.may_try()
    now[0] = 10.0
    assert ready.may_try() and ready.reason == "full", "only a trial"
    ready.passes()
    assert not ready.reason
    assert ready.fault("full again") == 20, "it had only looked well"
    ready.well()
    assert ready.fault("full") == 10


def test_a_job_is_passed_over_for_a_while() -> None:
    now = [0.0]
    passed = PassedOver(
        BackOff(first_s=10.0, longest_s=40.0, chance=lambda: 0.5), clock=lambda: now[0]
    )
    pauses = []
    for _ in range(5):
        pauses.append(passed.add(JOB))
        assert passed.holds(JOB) and not passed.holds("another")
        now[0] += pauses[-1]
        assert not passed.holds(JOB)
    assert pauses == [10, 20, 40, 40, 40]


# Refusals -------------------------------------------------------------------------------------


def queued(**fields: object) -> JobState:
    return replace(JobState(job=JOB, status=Status.QUEUED, txn="t"), **fields)


def test_each_machine_counts_for_itself_and_a_retry_begins_anew() -> None:
    store, state = MemoryStore(), queued()
    refuse(store, state, LITTLE, machine="a", begun=False)
    refuse(store, state, LITTLE, machine="b", begun=True)
    found = refuse(store, state, LITTLE, machine="a", begun=False)
    assert [(one.machine, one.declined, one.returned) for one in found] == [
        ("a", 2, 0), ("b", 0, 1)
    ]  # fmt: skip
    released = transitions.release(
        transitions.claim(state, owner="w", lease_s=1), owner="w", epoch=1
    )
    assert len(read_refusals(store, released)) == 2, "the same life"
    cancelled = transitions.cancel(released)
    assert read_refusals(store, transitions.retry(cancelled)) == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"life": 0}', b'{"machine":"a","life":0,"problem":{}}']
)
def test_a_damaged_refusal_is_none(body: bytes) -> None:
    store = MemoryStore()
    store.put(refusal_key(JOB, "a"), body)
    assert read_refusals(store, queued()) == []
    assert len(refuse(store, queued(), LITTLE, machine="a", begun=False)) == 1


def test_what_ends_a_job_says_what_it_needs_and_how_to_go_on() -> None:
    few = [Refusal(machine="a", life=0, declined=3, returned=MAX_RETURNED - 1, problem=LITTLE)]
    assert nobody_can(JOB, few) is None
    ended = nobody_can(JOB, [*few, Refusal(machine="b", life=0, returned=1, problem=LITTLE)])
    assert ended is not None and ended.fault is Fault.MEMORY
    assert ended.message.startswith("no worker can run this job: sparse needs about 3.0 GB")
    assert "2 machines" in ended.message and f"insaat retry {JOB}" in ended.hint


# The gate -------------------------------------------------------------------------------------


@dataclass
class Machine:
    """What a worker's machine is; may change while it works."""

    memory_bytes: int = 10**9
    disk_is_full: bool = False
    breaks: bool = False
    """Every attempt ends with a full disk, though the disk looks well before."""
    crashes: bool = False
    """Every attempt fails, and the job seems to be at fault."""
    poison: frozenset[str] = frozenset()
    """Jobs that are at fault, and fail."""


class FakeScratch(Scratch):
    def __init__(self, machine: Machine) -> None:
        super().__init__(None)
        self._machine = machine

    def problem(self, needed_bytes: int = 0) -> InsaatError | None:
        return disk_full(self.where) if self._machine.disk_is_full else None


class FakeFitness:
    """Jobs by what they need, in bytes."""

    def __init__(self, machine: Machine, needs: dict[str, int]) -> None:
        self._machine, self._needs = machine, needs

    def look(self, choice: Choice, *, held_bytes: int) -> Fit:
        need = self._needs[choice.marker.job]
        if need <= self._machine.memory_bytes:
            return Fit()
        return Fit(problem=MemoryLimitError(f"sparse needs about {need} bytes of memory"))


class FakeWorker:
    """The gate and the queue of one worker; its attempts take no time."""

    def __init__(
        self,
        name: str,
        store: MemoryStore,
        machine: Machine,
        needs: dict[str, int],
        now: list[float],
    ) -> None:
        self.name, self.machine, self.now = name, machine, now
        self.queue = Queue(store, clock=lambda: now[0], choose=Random(0))
        self.gate = Gate(
            self.queue,
            Owner(name=name, machine=name, lease_s=60.0),
            FakeFitness(machine, needs),  # type: ignore[arg-type]
            FakeScratch(machine),
            Metrics(),
            clock=lambda: now[0],
            first_pause_s=60.0,
        )
        self.claims = 0

    def look(self) -> None:
        """As `Worker._look` does it."""
        if not self.gate.look():
            return
        for marker in self.queue.candidates():
            if not self.gate.admits(marker):
                continue
            choice = Choice(marker=marker, grant=Grant(memory_bytes=1, threads=1))
            fit = self.gate.fit(choice, held_bytes=0)
            if fit.problem is not None:
                self.gate.decline(marker, fit.problem, beside_others=False)
                continue
            held = self.queue.claim(marker, owner=self.name, lease_s=60.0)
            if held is not None:
                self.claims += 1
                self._attempt(held)
                return

    def _attempt(self, held: object) -> None:
        job = held.state.job  # type: ignore[attr-defined]
        if self.machine.crashes or job in self.machine.poison:
            problem = Problem(fault=Fault.STAGE, message="dense crashed")
            self.queue.fail(held, problem)  # type: ignore[arg-type]
            self.gate.ended(job, End.FAILED, Trouble(problem=problem, blame=Blame.JOB))
            return
        if not self.machine.breaks:
            self.queue.succeed(held, manifest_sha256="0" * 64)  # type: ignore[arg-type]
            self.gate.ended(job, End.SUCCEEDED, None)
            return
        trouble = Trouble.of(disk_full(Path("/work")), Path("/work"))
        found = refuse(
            self.queue.store, held.state, trouble.problem, machine=self.name, begun=True  # type: ignore[attr-defined]
        )  # fmt: skip
        hopeless = nobody_can(job, found)
        if hopeless is None:
            self.queue.release(held)  # type: ignore[arg-type]
            self.gate.ended(job, End.RETURNED, trouble)
        else:
            self.queue.give_up(held, hopeless)  # type: ignore[arg-type]
            self.gate.ended(job, End.FAILED, trouble)


class Fleet:
    """Workers on a clock of their own, and jobs by their needs."""

    def __init__(self, machines: list[Machine], needs: list[int]) -> None:
        self.store, self.now = MemoryStore(), [0.0]
        self.jobs = [f"20260101-{number:06d}-aaaaaaaa" for number in range(len(needs))]
        told = dict(zip(self.jobs, needs, strict=True))
        self.workers = [
            FakeWorker(f"w{number}", self.store, machine, told, self.now)
            for number, machine in enumerate(machines)
        ]
        for job in self.jobs:
            self.workers[0].queue.submit(JobState(job=job, status=Status.QUEUED, txn=job), b"{}")

    def run(self, seconds: float, chance: Random | None = None, *, step_s: float = 10.0) -> None:
        for _ in range(int(seconds / step_s)):
            if all(self.state(job).status.ended for job in self.jobs):
                return
            chosen = [chance.choice(self.workers)] if chance else self.workers
            for worker in chosen:
                worker.look()
            self.now[0] += step_s

    def state(self, job: str) -> JobState:
        return self.workers[0].queue.read(job).state


def test_a_full_disk_takes_no_job_and_says_so_until_there_is_room_again() -> None:
    machine = Machine(disk_is_full=True)
    fleet = Fleet([machine], [1, 1, 1])
    fleet.run(3600)
    states = [fleet.state(job) for job in fleet.jobs]
    assert {(state.status, state.epoch) for state in states} == {(Status.QUEUED, 0)}
    assert "no space left" in fleet.workers[0].gate.reason
    machine.disk_is_full = False
    fleet.run(3600)
    assert not fleet.workers[0].gate.reason
    assert {fleet.state(job).status for job in fleet.jobs} == {Status.SUCCEEDED}


def test_a_disk_that_only_looks_well_fails_no_job_in_a_hurry() -> None:
    """Three jobs, nine attempts, 0.6 s, all FAILED: so it was."""
    machine = Machine(breaks=True)
    fleet = Fleet([machine], [1, 1, 1])
    fleet.run(1800)
    states = [fleet.state(job) for job in fleet.jobs]
    assert not any(state.status.ended for state in states)
    assert not any(state.failures + state.losses for state in states)
    assert 3 <= fleet.workers[0].claims <= 8, "half an hour"
    machine.breaks = False
    fleet.run(7200)
    assert {fleet.state(job).status for job in fleet.jobs} == {Status.SUCCEEDED}


def test_a_job_too_large_waits_for_a_larger_machine_and_does_not_stop_the_others() -> None:
    small, large = Machine(memory_bytes=150), Machine(memory_bytes=3000, disk_is_full=True)
    fleet = Fleet([small, large], [3000, 100, 100])
    fleet.run(6 * 3600)
    first, *others = [fleet.state(job) for job in fleet.jobs]
    assert [state.status for state in others] == [Status.SUCCEEDED] * 2
    assert (first.status, first.epoch) == (Status.QUEUED, 0), "never claimed, never counted"
    assert not fleet.workers[0].gate.reason, "it is well"
    large.disk_is_full = False
    fleet.run(3600)
    assert fleet.state(fleet.jobs[0]).status is Status.SUCCEEDED


def test_a_job_that_fits_nobody_ends_within_two_days() -> None:
    fleet = Fleet([Machine(memory_bytes=150), Machine(memory_bytes=200)], [3000])
    fleet.run(DAY_S / 3)
    assert fleet.state(fleet.jobs[0]).status is Status.QUEUED
    fleet.run(2 * DAY_S)
    state = fleet.state(fleet.jobs[0])
    assert state.status is Status.FAILED and state.problem is not None
    assert "no worker can run this job: sparse needs about 3000 bytes" in state.problem.message
    assert (state.failures, state.losses, state.releases) == (0, 0, 0)
    assert sum(worker.claims for worker in fleet.workers) == 0
    fleet.workers[0].machine.memory_bytes = 3000
    fleet.workers[1].queue.retry(fleet.jobs[0])
    fleet.run(2 * DAY_S)
    assert fleet.state(fleet.jobs[0]).status is Status.SUCCEEDED


def test_a_machine_on_which_every_job_crashes_stops_before_it_has_spoilt_them() -> None:
    """It took every job that came, and failed it three times before anybody else had a look."""
    broken, sound = Machine(crashes=True), Machine()
    fleet = Fleet([broken, sound], [1] * 12)
    bad, good = fleet.workers
    fleet.workers = [bad]
    fleet.run(40)
    assert "3 different jobs in a row failed here, the last: dense crashed" in bad.gate.reason
    for _ in range(3):
        fleet.workers = [bad]  # the other is busy, for an hour each time
        fleet.run(3600)
        fleet.workers = [bad, good]
        fleet.run(20)
    fleet.run(3600)
    assert {fleet.state(job).status for job in fleet.jobs} == {Status.SUCCEEDED}


def test_a_machine_in_quarantine_tries_one_job_now_and_then_and_comes_back() -> None:
    machine = Machine(crashes=True)
    fleet = Fleet([machine], [1] * 80)
    (worker,) = fleet.workers
    fleet.run(6 * 3600)
    assert worker.claims < 3 + 6 * 6 * 2, "one job in ten minutes, as the pauses are halved at most"
    assert sum(fleet.state(job).status.ended for job in fleet.jobs) <= 1
    machine.crashes = False
    fleet.run(3600)
    assert not worker.gate.reason and not worker.gate.on_trial
    fleet.run(3600)
    states = [fleet.state(job).status for job in fleet.jobs]
    assert states.count(Status.SUCCEEDED) >= 79


def test_jobs_that_are_poison_end_where_there_is_one_machine_and_the_others_are_done() -> None:
    machine = Machine()
    fleet = Fleet([machine], [1] * 8)
    machine.poison = frozenset(fleet.jobs[:4])
    fleet.run(DAY_S)
    states = [fleet.state(job).status for job in fleet.jobs]
    assert states == [Status.FAILED] * 4 + [Status.SUCCEEDED] * 4


def test_what_was_too_little_is_known_to_all_until_a_retry() -> None:
    fleet = Fleet([Machine()], [1])
    (job,), queue, store = fleet.jobs, fleet.workers[0].queue, fleet.store
    held = queue.claim(queue.candidates()[0], owner="w", lease_s=60.0)
    assert held is not None
    for granted_bytes in (4000, 3000):
        refuse(store, held.state, LITTLE, machine="m", begun=True, granted_bytes=granted_bytes)
    full = Problem(fault=Fault.STAGE, message="no space left")
    refuse(store, held.state, full, machine="n", begun=True, granted_bytes=9000)
    queue.release(held)
    assert too_little_bytes(store, job) == 4000
    assert too_little_bytes(store, job, but="m") == 0
    queue.cancel(job)
    queue.retry(job)
    assert too_little_bytes(store, job) == 0


def test_photos_that_do_not_fit_raise_no_suspicion() -> None:
    fleet = Fleet([Machine()], [1])
    gate = fleet.workers[0].gate
    for job in "abcdef":
        problem = Problem(fault=Fault.DO_NOT_FIT, message="only 2 photos could be registered")
        gate.ended(job, End.FAILED, Trouble(problem=problem, blame=Blame.JOB))
    assert not gate.reason and not gate.on_trial


machines = st.lists(
    st.builds(
        Machine,
        memory_bytes=st.sampled_from([100, 200]),
        disk_is_full=st.sampled_from([False, False, True]),
        breaks=st.sampled_from([False, False, True]),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=30, deadline=None)
@given(
    machines=machines,
    needs=st.lists(st.sampled_from([50, 150, 250]), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_every_job_ends_unless_no_machine_is_in_order(
    machines: list[Machine], needs: list[int], seed: int
) -> None:
    """No job is lost or blamed, no two workers hand one to and fro, whoever comes when."""
    fleet = Fleet(machines, needs)
    fleet.run(8 * DAY_S, Random(seed), step_s=300.0)
    in_order = [machine for machine in machines if not machine.disk_is_full]
    for job, need in zip(fleet.jobs, needs, strict=True):
        state = fleet.state(job)
        assert state.failures == state.losses == 0
        assert state.releases < MAX_RETURNED
        suitable = [machine for machine in in_order if machine.memory_bytes >= need]
        if suitable and not any(machine.breaks for machine in suitable):
            assert state.status is Status.SUCCEEDED
        elif in_order:
            assert state.status.ended
        else:
            assert (state.status, state.epoch) == (Status.QUEUED, 0)
