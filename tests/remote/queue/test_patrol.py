"""A job whose marker was lost is found all the same, only later."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import Iterator

import pytest

from insaat_cli.remote.queue import job_state as transitions
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.keys import queued_marker, running_marker
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import Pause, create
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import Entry
from insaat_cli.remote.worker.notification import Notifier
from insaat_cli.remote.worker.options import WorkerOptions
from insaat_cli.remote.worker.worker import PATROL_S, Worker

JOB = "20260101-000000-aaaaaaaa"
FIRST = JobState(job=JOB, status=Status.QUEUED, txn="t")


def ended(number: int) -> JobState:
    job = f"20250101-{number:06d}-aaaaaaaa"
    return JobState(job=job, status=Status.CANCELLED, txn=new_txn())


@pytest.mark.parametrize("running", [False, True])
def test_a_worker_puts_back_a_lost_marker(running: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the worker's own turns, so that nobody forgets to call it."""
    store = MemoryStore()
    worker = Worker(
        store, WorkerOptions(), allowed={}, notifier=Notifier(store=store, mail=None, webhook=None)
    )
    state = transitions.claim(FIRST, owner="dead", lease_s=60) if running else FIRST
    create(store, state, Pause())
    now = [0.0]
    monkeypatch.setattr("insaat_cli.remote.worker.worker.time.monotonic", lambda: now[0])
    monkeypatch.setattr(worker, "_may_claim", lambda: False)
    for now[0] in (worker._scanned_at + step for step in range(0, int(2 * PATROL_S), 30)):
        worker._look()
    marker = running_marker(JOB, 1) if running else queued_marker(FIRST)
    assert [entry.key for entry in store.list("")] == sorted([f"jobs/{JOB}/state.json", marker.key])


def test_a_job_is_deleted_when_it_was_kept_for_long_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a worker, from its own turns; a retried one, and one that is to be kept, are not."""
    store = MemoryStore()
    store.put("inputs/aa/aa", b"photo")
    days = {"a": 0, "b": 3, "c": 30, "d": 3}
    for name, keep_days in days.items():
        state = dataclasses.replace(ended(1), job=f"20250101-000000-aaaaaaa{name}")
        state = dataclasses.replace(state, keep_days=keep_days, problem=None)
        create(store, state, Pause())
        store.put(f"jobs/{state.job}/attempts/000001/log.txt", b"log")
    notifier = Notifier(store=store, mail=None, webhook=None)
    worker = Worker(store, WorkerOptions(), allowed={}, notifier=notifier)
    now = [0.0]
    monkeypatch.setattr(worker.queue._patrol, "_now", lambda: time.time() + now[0])
    monkeypatch.setattr(worker, "_may_claim", lambda: False)
    left = {}
    for day in (1, 2, 4):
        now[0] = day * 86_400.0
        if day == 4:
            worker.queue.retry("20250101-000000-aaaaaaad")
        worker._walk(worker._patrol_at)
        left[day] = {key.split("/")[1][-1] for e in store.list("jobs/") if (key := e.key)}
    assert left == {1: set("abcd"), 2: set("abcd"), 4: set("acd")}
    assert store.get("inputs/aa/aa") is not None


def test_how_long_to_keep_travels_where_older_workers_leave_it() -> None:
    state = dataclasses.replace(FIRST, keep_days=30, spec_sha256="0" * 64, submitted_at="noon")
    assert JobState.from_bytes(state.to_bytes()) == state
    assert "keep_days" not in json.loads(state.to_bytes())


@pytest.mark.parametrize("busy", [False, True])
def test_the_metrics_cost_no_list_of_their_own(busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(MemoryStore):
        lists = 0

        def list(self, prefix: str, *, limit: int | None = None) -> Iterator[Entry]:
            self.lists += prefix == "queued/"
            return super().list(prefix, limit=limit)

    store = Counting()
    create(store, FIRST, Pause())
    store.put(queued_marker(FIRST).key, b"")
    worker = Worker(
        store,
        WorkerOptions(metrics_port=0),
        allowed={},
        notifier=Notifier(store=store, mail=None, webhook=None),
    )
    monkeypatch.setattr(worker, "_may_claim", lambda: not busy)
    monkeypatch.setattr(worker, "_fill", lambda: None)
    for _ in range(5):
        worker._look()
    assert store.lists == 5
    assert "queued_jobs 1" in worker.metrics.text()


def test_a_dead_workers_job_without_a_marker_is_taken_from_it() -> None:
    store, now = MemoryStore(), [0.0]
    queue = Queue(store, clock=lambda: now[0], choose=random.Random(1))
    queue.submit(FIRST, b"{}")
    held = queue.claim(queue.candidates()[0], owner="dead", lease_s=60)
    assert held is not None
    store.delete(running_marker(JOB, 1).key)
    lost = []
    for now[0] in range(0, 300, 30):
        lost += queue.watch(10)
        if now[0] == 60:
            assert [state.job for state in queue.patrol()] == [JOB]
            assert queue.patrol() == []
    assert [state.status for state in lost] == [Status.QUEUED]


def test_ended_jobs_are_read_once_and_then_known() -> None:
    class Counting(MemoryStore):
        reads = 0

        def get(self, key: str, **limit: int) -> object:  # type: ignore[override]
            self.reads += 1
            return super().get(key, **limit)

    store = Counting()
    for number in range(2500):
        create(store, ended(number), Pause())
    create(store, FIRST, Pause())
    queue = Queue(store, clock=lambda: 0.0, choose=random.Random(1))
    steps = 0
    while not queue.patrol():
        steps += 1
        assert steps < 3 * 60
    assert store.reads <= 2501
    before = store.reads
    for _ in range(3):
        queue.patrol()
    assert store.reads - before <= 60
