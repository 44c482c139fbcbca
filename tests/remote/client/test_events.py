"""Events: what the store says, whatever a broker tells; at once where one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.remote.machines import wait_for

from insaat_cli.cli.app import run
from insaat_cli.remote.broker.address import BrokerAddress
from insaat_cli.remote.broker.broker import Broker
from insaat_cli.remote.broker.messages import JobEvent
from insaat_cli.remote.client.client import Client
from insaat_cli.remote.client.events import EventFeed, JobWatch
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import Store


def put_job(store: Store) -> str:
    job = new_job_id()
    state = JobState(job=job, status=Status.QUEUED, txn=new_txn())
    Queue(store, clock=time.monotonic).submit(state, b"{}")
    return job


def claim(store: Store, job: str):
    queue = Queue(store, clock=time.monotonic)
    (marker,) = [found for found in queue.candidates() if found.job == job]
    held = queue.claim(marker, owner="w", lease_s=60.0)
    assert held is not None
    return queue, held


def said(states: Iterator[JobState]) -> list[tuple[str, str, int]]:
    return [(state.job, state.status.value, state.epoch) for state in states]


def test_each_change_is_told_once_by_looking_into_the_store() -> None:
    store = MemoryStore()
    watch, old, job = JobWatch(store), put_job(store), put_job(store)
    Queue(store, clock=time.monotonic).cancel(old)
    assert said(watch.look()) == [(job, "QUEUED", 0)]
    assert said(watch.look()) == []
    queue, held = claim(store, job)
    assert said(watch.look()) == [(job, "RUNNING", 1)]
    queue.release(held)
    assert said(watch.look()) == [(job, "QUEUED", 1)]
    queue, held = claim(store, job)
    queue.succeed(held, manifest_sha256="0" * 64)
    assert said(watch.look()) == [(job, "SUCCEEDED", 2)]
    assert said(watch.look()) == said(watch.look_at(job)) == []


def test_a_forged_message_tells_nothing() -> None:
    store = MemoryStore()
    watch, job = JobWatch(store), put_job(store)
    assert said(watch.look_at(new_job_id())) == []
    assert said(watch.look_at(job)) == [(job, "QUEUED", 0)]
    assert said(watch.look_at(job)) == [], "whatever the message said of its state"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insaat_cli.remote.client.events.MAX_REMEMBERED", 3)
    store = MemoryStore()
    watch = JobWatch(store)
    for _ in range(6):
        Queue(store, clock=time.monotonic).cancel(job := put_job(store))
        assert len(said(watch.look_at(job))) == 1
    assert len(watch._seen) == 3


@pytest.mark.parametrize(
    "broker_url", ["redis", pytest.param("rabbit", marks=pytest.mark.long)], indirect=True
)
def test_a_broker_tells_at_once(broker_url: str) -> None:
    """The store is looked into at the start and never again; lost events would stay lost."""
    store = MemoryStore()
    broker = Broker(address=BrokerAddress.parse(broker_url))
    feed = EventFeed(store, broker, poll_s=1000, sweep_s=1000)
    client = Client(store, Queue(store, clock=time.monotonic), broker)
    heard: list[tuple[str, Status]] = []

    def listen() -> None:
        for state in feed.follow():
            heard.append((state.job, state.status))

    def hears(*statuses: Status) -> None:
        expected = [(job, status) for status in statuses]
        wait_for(lambda: heard == expected, seconds=20, about=f"{statuses}")

    threading.Thread(target=listen, daemon=True).start()
    wait_for(lambda: feed._up.is_set() and not feed._told.qsize(), seconds=20, about="a link")
    time.sleep(1.0)  # until it has looked
    job = put_job(store)
    client.ring(job)
    hears(Status.QUEUED)
    queue, held = claim(store, job)
    for forged in (new_job_id(), job):
        broker.announce(JobEvent(job=forged, state=Status.SUCCEEDED, attempt=9))
    hears(Status.QUEUED, Status.RUNNING)
    queue.succeed(held, manifest_sha256="0" * 64)
    broker.announce(JobEvent(job=job, state=Status.SUCCEEDED, attempt=1))
    hears(Status.QUEUED, Status.RUNNING, Status.SUCCEEDED)


def test_the_command_tells_what_waits_and_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = LocalStore(tmp_path)
    job = put_job(store)
    assert run(["events", "--remote", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["event"], told["job"], told["state"], told["attempt"]) == ("job", job, "QUEUED", 0)
    assert told["submitted_at"] and told["changed_at"] and "message" in told


def test_the_command_follows_without_a_broker(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "queue")
    job = put_job(store)
    command = [sys.executable, "-m", "insaat_cli", "events", "--follow", "--poll", "0.2"]
    with subprocess.Popen(
        [*command, "--remote", str(tmp_path / "queue")],
        stdout=subprocess.PIPE, text=True, env=dict(os.environ),
    ) as events:  # fmt: skip
        try:
            assert events.stdout is not None
            assert json.loads(events.stdout.readline())["state"] == "QUEUED"
            Queue(store, clock=time.monotonic).cancel(job)
            told = json.loads(events.stdout.readline())
            assert (told["job"], told["state"]) == (job, "CANCELLED")
        finally:
            events.kill()
