"""What cannot be read stops nobody: it is left out, and the queue goes on."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import WorkerProcess, client_of, make_photos, submit_fake, wait_end
from typer.testing import CliRunner

from insaat_cli.cli.app import app
from insaat_cli.remote.client.client import Client
from insaat_cli.remote.queue.job_state import (
    MAX_STATE_BYTES,
    JobState,
    NewerStateError,
    Status,
    new_txn,
)
from insaat_cli.remote.queue.keys import queued_marker, running_marker, state_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import Store

GOOD = "20260101-000009-aaaaaaaa"


def job(number: int, **fields: object) -> JobState:
    return JobState(
        job=f"20260101-00000{number}-aaaaaaaa", status=Status.QUEUED, txn=new_txn(), **fields
    )  # type: ignore[arg-type]


def odd_bodies(name: str) -> dict[str, bytes]:
    raw = json.loads(job(1).to_bytes())
    return {
        "garbage": b"\xff\x00",
        "deep": b'{"a":' * 100_000,
        "wrong type": json.dumps({**raw, "job": name, "epoch": "1"}).encode(),
        "of another job": json.dumps({**raw, "job": GOOD}).encode(),
        "huge": json.dumps({**raw, "job": name, "x": "x" * MAX_STATE_BYTES}).encode(),
        "of a newer format": json.dumps({**raw, "job": name, "format": 2}).encode(),
        "half a surrogate": json.dumps({**raw, "job": name, "owner": "\ud800"}).encode(),
    }


ODD = sorted(odd_bodies(""))


def put_odd(store: Store, what: str, number: int, *, running: bool = False) -> str:
    state = job(number, priority=99)
    store.put(state_key(state.job), odd_bodies(state.job)[what])
    marker = running_marker(state.job, 1) if running else queued_marker(state)
    store.put(marker.key, b"")
    return state.job


@pytest.mark.parametrize("what", ODD)
def test_an_unreadable_state_at_the_head_of_the_queue_stops_nobody(what: str) -> None:
    store, now = MemoryStore(), [0.0]
    queue = Queue(store, clock=lambda: now[0], choose=random.Random(1))
    put_odd(store, what, 1)
    before = store.get(state_key(job(1).job))
    queue.submit(job(9), b"{}")
    claimed = []
    for now[0] in range(0, 500, 10):
        claimed += [queue.claim(marker, owner="w", lease_s=60) for marker in queue.candidates()]
    (held,) = [held for held in claimed if held is not None]
    assert held.state.job == GOOD
    assert len(claimed) < 15, "looked at less and less often"
    assert store.get(state_key(job(1).job)) == before, "somebody else may read it"


@pytest.mark.parametrize("what", ODD)
def test_an_unreadable_running_job_stops_no_watch(what: str) -> None:
    store, now = MemoryStore(), [0.0]
    queue = Queue(store, clock=lambda: now[0], choose=random.Random(1))
    put_odd(store, what, 1, running=True)
    queue.submit(job(9), b"{}")
    assert queue.claim(queue.candidates()[0], owner="dead", lease_s=60)
    lost = []
    for now[0] in range(0, 200, 30):
        lost += queue.watch(10)
    assert [state.job for state in lost] == [GOOD]


@pytest.mark.parametrize("what", ODD)
def test_jobs_are_listed_and_the_unreadable_can_be_deleted(what: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    queue = Queue(store, clock=time.monotonic)
    bad = put_odd(store, what, 1)
    queue.submit(job(9), b"{}")
    client = Client(store, queue)
    found = client.survey()
    assert [state.job for state in found.states] == [GOOD] and list(found.unreadable) == [bad]
    shown = CliRunner().invoke(app, ["jobs", "--remote", str(tmp_path)])
    assert shown.exit_code == 0 and GOOD in shown.output and f"{bad}  unreadable" in shown.output
    if what == "of a newer format":
        with pytest.raises(NewerStateError):
            client.remove(bad)
    else:
        client.remove(bad)
        assert not client.survey().unreadable


def test_a_worker_goes_on_past_all_of_them(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "queue")
    client = client_of(store)
    for number, what in enumerate(ODD):
        put_odd(store, what, number)
        put_odd(store, what, number, running=True)
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    good = submit_fake(client, make_photos(tmp_path / "photos"), pipeline)
    worker = WorkerProcess(str(tmp_path / "queue"), pipeline, tmp_path / "w")
    try:
        assert wait_end(client, good.job, seconds=60).status is Status.SUCCEEDED
        assert worker.process.poll() is None
    finally:
        worker.close()
