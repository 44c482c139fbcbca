"""Which jobs a worker takes: never more than the budget is granted, and each gets its turn."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import (
    WorkerProcess,
    check_published,
    client_of,
    make_photos,
    submit_fake,
    wait_for,
)

from insaat_cli.planning.history import History
from insaat_cli.planning.scheduler import MAX_PASSED_OVER, Budget, Option, Task
from insaat_cli.remote.queue.job_spec import JobSpec, allowed_pipelines
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.keys import Marker, queued_marker
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.manifest import FileEntry
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.worker.admission import Admission, Choice, EqualShares
from insaat_cli.remote.worker.job_forecast import PROCESS_BYTES, PredictedNeeds

GB = 10**9


def marker(number: int, *, priority: int = 50) -> Marker:
    job = f"20260101-000000-aaaa{chr(97 + number // 26 % 26)}{chr(97 + number % 26)}aa"
    return queued_marker(JobState(job=job, status=Status.QUEUED, priority=priority))


@dataclass
class Told:
    """Needs by marker key, in bytes; 0: nobody knows."""

    cores: int
    needs: dict[str, int] = field(default_factory=dict)

    def task(self, marker: Marker) -> Task:
        need = self.needs[marker.key]
        counts = range(self.cores, 0, -1)
        options = tuple(Option(rung=0, threads=n, memory_bytes=need or 10 * GB) for n in counts)
        return Task(key=marker.key, options=options, alone=not need)


class Desk:
    """An admission, and jobs that wait and run."""

    def __init__(self, *, cores: int = 4) -> None:
        self.told = Told(cores)
        self.admission = Admission(Budget(memory_bytes=10 * GB, cores=cores), self.told)
        self.waiting: list[Marker] = []
        self.running: dict[str, Choice] = {}

    def add(self, number: int, need_gb: float, *, priority: int = 50) -> str:
        found = marker(number, priority=priority)
        self.told.needs[found.key] = int(need_gb * GB)
        self.waiting.append(found)
        self.waiting.sort(key=lambda one: one.rank)
        return found.key

    def look(self) -> set[str]:
        choices = self.admission.choose(self.waiting)
        for choice in choices:
            self.waiting.remove(choice.marker)
            self.running[choice.marker.key] = choice
        return {choice.marker.key for choice in choices}

    def end(self, key: str) -> None:
        del self.running[key]
        self.admission.ended(key)


def test_two_small_ones_run_at_once_and_a_large_one_waits() -> None:
    desk = Desk()
    small = {desk.add(1, 4), desk.add(2, 5)}
    large = desk.add(3, 8)
    assert desk.look() == small
    assert [choice.grant.threads for choice in desk.running.values()] == [2, 2]
    assert desk.look() == set() and desk.admission.held_bytes == 9 * GB
    desk.end(min(small))
    assert desk.look() == set(), "3 GB short"
    desk.end(max(small))
    assert desk.look() == {large}
    assert desk.running[large].grant.threads == 4


def test_one_that_comes_later_finds_a_core() -> None:
    desk = Desk(cores=2)
    first = desk.add(1, 4)
    assert desk.look() == {first} and desk.running[first].grant.threads == 2
    second = desk.add(2, 4)
    assert desk.look() == {second} and desk.running[second].grant.threads == 1
    desk.add(3, 1)
    assert desk.look() == set() and not desk.admission.has_room(), "a core for each at least"


def test_what_nobody_can_foretell_runs_alone() -> None:
    desk = Desk()
    small, unknown = desk.add(1, 1), desk.add(2, 0)
    assert desk.look() == {small}
    assert desk.look() == set()
    desk.end(small)
    assert desk.look() == {unknown}
    assert desk.running[unknown].grant.memory_bytes == 10 * GB
    desk.add(3, 1)
    assert desk.look() == set()


def test_a_large_one_does_not_starve() -> None:
    desk = Desk()
    first, large = desk.add(0, 6), desk.add(1, 9)
    assert desk.look() == {first}
    for number in range(2, 60):
        desk.add(number, 3)
        started = desk.look()
        if large in started:
            return
        for key in [key for key in desk.running if key != first][:1]:
            desk.end(key)
        if number > 2 + MAX_PASSED_OVER and first in desk.running:
            desk.end(first)
    raise AssertionError("never")


def test_a_better_one_comes_first() -> None:
    desk = Desk()
    desk.add(1, 8)
    best = desk.add(2, 8, priority=90)
    assert desk.look() == {best}


def test_one_that_another_worker_took_gives_its_room_back() -> None:
    desk = Desk()
    first, second = desk.add(1, 8), desk.add(2, 8)
    assert desk.look() == {first}
    desk.end(first)
    assert desk.look() == {second}


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_never_more_than_the_budget_and_all_get_their_turn(seed: int) -> None:
    random = Random(seed)
    desk = Desk(cores=random.randint(1, 8))
    for number in range(30):
        desk.add(number, random.choice([0, 1, 2, 3, 5, 8, 10]), priority=random.choice([10, 50]))
    turns = 0
    while desk.waiting or desk.running:
        desk.look()
        grants = [choice.grant for choice in desk.running.values()]
        assert sum(grant.memory_bytes for grant in grants) <= 10 * GB
        assert len(grants) <= desk.told.cores
        assert grants, "somebody can always run"
        desk.end(random.choice(list(desk.running)))
        turns += 1
    assert turns == 30


@pytest.mark.parametrize(("number", "threads"), [(1, 4), (3, 1), (8, 1)])
def test_equal_shares(number: int, threads: int) -> None:
    shares = EqualShares(number, 8 * GB, 4)
    admission = Admission(shares.budget, shares)
    choices = admission.choose([marker(i) for i in range(12)])
    assert len(choices) == number and not admission.has_room()
    assert {choice.grant.memory_bytes for choice in choices} == {8 * GB // number}
    assert {choice.grant.threads for choice in choices} == {threads}


def spec(job: str, count: int, side: int, **changes: object) -> bytes:
    photos = tuple(FileEntry(path=f"{n}.jpg", size=1, sha256=f"{n:064x}") for n in range(count))
    sizes = ((side, side),) * count
    return JobSpec(**{"job": job, "photos": photos, "sizes": sizes, **changes}).to_bytes()


def predicted_task(body: bytes | None, tmp_path: Path, *, budget_gb: int = 64) -> Task:
    store, found = MemoryStore(), marker(1)
    if body is not None:
        store.put(f"jobs/{found.job}/spec.json", body)
    budget = Budget(memory_bytes=budget_gb * GB, cores=8)
    needs = PredictedNeeds(store, allowed_pipelines(), budget, History(tmp_path / "none.json"))
    return needs.task(found)


def test_more_and_larger_photos_need_more(tmp_path: Path) -> None:
    few = predicted_task(spec("j", 10, 1000), tmp_path)
    many = predicted_task(spec("j", 400, 6000), tmp_path)
    assert [option.threads for option in few.options] == [8, 4, 2, 1]
    assert PROCESS_BYTES < few.options[0].memory_bytes < many.options[0].memory_bytes < 64 * GB
    assert few.options[0].memory_bytes >= few.options[-1].memory_bytes
    assert not few.alone


def test_what_cannot_be_predicted(tmp_path: Path) -> None:
    assert predicted_task(spec("j", 10, 1000, sizes=()), tmp_path).alone, "of an earlier version"
    for body in (None, b"no json", spec("j", 10, 1000, preset="none")):
        task = predicted_task(body, tmp_path)
        assert not task.alone and task.options[0].memory_bytes <= PROCESS_BYTES, "it ends at once"
    cramped = predicted_task(spec("j", 400, 6000), tmp_path, budget_gb=1)
    assert cramped.alone or cramped.options[0].memory_bytes <= GB


def test_a_worker_runs_two_small_jobs_at_once_and_the_large_one_alone(tmp_path: Path) -> None:
    small = write_pipeline(tmp_path, seconds=1.0, name="small")
    large = write_pipeline(tmp_path, seconds=0.1, name="large", megabytes=300)
    client = client_of(LocalStore(tmp_path / "queue"))
    photos = make_photos(tmp_path / "photos")
    big = submit_fake(client, photos, large).job
    little = [submit_fake(client, photos, small).job for _ in range(2)]
    worker = WorkerProcess(
        str(tmp_path / "queue"), small, tmp_path / "w",
        "--allow-pipeline", str(large), "--concurrency", "auto", "--threads", "2",
        lease_s=20.0,
    )  # fmt: skip
    together: set[frozenset[str]] = set()

    def all_ended() -> bool:
        states = [client.status(job) for job in (big, *little)]
        together.add(frozenset(s.job for s in states if s.status is Status.RUNNING))
        return all(state.status is Status.SUCCEEDED for state in states)

    try:
        wait_for(all_ended, seconds=60, about="end of all jobs")
    finally:
        worker.close()
    time.sleep(0.1)
    assert frozenset(little) in together, "side by side"
    assert all(big not in running or running == {big} for running in together)
    for job in (big, *little):
        check_published(client, job, tmp_path / job)
