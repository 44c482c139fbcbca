"""The history of a job: how each attempt ended, as whoever ended it wrote down."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tests.remote.simulation import Network
from tests.remote.story import JOBS, play
from typer.testing import CliRunner

from insaat_cli.cli.app import app
from insaat_cli.errors import Fault
from insaat_cli.remote.queue.attempts import Attempt, read_attempts, write_attempt
from insaat_cli.remote.queue.job_state import JobState, Problem, Status, new_txn
from insaat_cli.remote.queue.keys import history_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.worker.notification import Notifier
from insaat_cli.remote.worker.options import WorkerOptions
from insaat_cli.remote.worker.worker import Worker

JOB = "20260101-000000-aaaaaaaa"
BOOM = Problem(fault=Fault.STAGE, message="boom\nand more", stage="dense")
FAILED = Attempt(
    epoch=1, owner="w1", machine="m", began_at="a", ended_at="2026-11-25T04:00:00+00:00",
    end="failed", stage="dense", problem=BOOM,
)  # fmt: skip
DONE = Attempt(epoch=2, owner="w2", ended_at="2026-11-25T05:00:00+00:00", end="succeeded")


def test_a_worker_writes_down_its_attempts() -> None:
    world = play(1, Network(), 2, gentle=True)
    for job in JOBS:
        (attempt,) = read_attempts(world.raw, job)
        assert (attempt.epoch, attempt.end, attempt.problem) == (1, "succeeded", None)
        assert world.raw.names[attempt.owner] == attempt.machine and attempt.began_at


def test_an_observer_writes_down_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    store, now = MemoryStore(), [0.0]
    monkeypatch.setattr("insaat_cli.remote.worker.worker.time.monotonic", lambda: now[0])
    notifier = Notifier(store=store, mail=None, webhook=None)
    worker = Worker(store, WorkerOptions(), allowed={}, notifier=notifier)
    queue = Queue(store, clock=lambda: now[0], choose=random.Random(1))
    queue.submit(JobState(job=JOB, status=Status.QUEUED, txn=new_txn()), b"{}")
    assert queue.claim(queue.candidates()[0], owner="dead", lease_s=60)
    for now[0] in (30.0, 60.0, 90.0):
        worker._watch()
    (attempt,) = read_attempts(store, JOB)
    assert (attempt.epoch, attempt.end) == (1, "lost")
    assert attempt.problem is not None and "dead stopped responding" in attempt.problem.message


def test_it_is_read_in_order_whatever_else_lies_there() -> None:
    store = MemoryStore()
    for attempt in (DONE, FAILED):
        write_attempt(store, JOB, attempt)
    raw = {**json.loads(FAILED.to_bytes()), "epoch": 3, "newer": [1]}
    store.put(history_key(JOB, 3), json.dumps(raw).encode())
    for epoch, body in enumerate((b"", b"[]", b'{"epoch": "x"}', bytes(10**6)), 4):
        store.put(history_key(JOB, epoch), body)
    found = read_attempts(store, JOB)
    assert found[:2] == [FAILED, DONE] and [one.epoch for one in found] == [1, 2, 3]


def test_status_shows_it(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    Queue(store, clock=lambda: 0.0).submit(
        JobState(job=JOB, status=Status.QUEUED, txn=new_txn()), b"{}"
    )
    for attempt in (FAILED, DONE):
        write_attempt(store, JOB, attempt)
    command = ["status", JOB, "--remote", str(tmp_path)]
    plain = CliRunner().invoke(app, command)
    assert plain.exit_code == 0 and "attempt 1" not in plain.output
    shown = CliRunner().invoke(app, [*command, "--history"])
    assert "attempt 1: 2026-11-25 04:00  failed in dense on w1: boom" in shown.output
    assert "attempt 2: 2026-11-25 05:00  succeeded on w2" in shown.output
    told = json.loads(CliRunner().invoke(app, [*command, "--history", "--json"]).output)
    assert [one["end"] for one in told["history"]] == ["failed", "succeeded"]
