"""What a worker does with messages, by the state of the job that they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from insaat_cli.errors import StoreError
from insaat_cli.remote.broker.inbox import BrokerInbox, NoInbox
from insaat_cli.remote.broker.messages import JobEvent
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.keys import state_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.memory_store import MemoryStore

LEASE_S = 60.0


@dataclass
class FakeListener:
    """Messages to come, and those that were settled."""

    jobs: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    is_up: bool = True
    trouble: str = ""

    def came(self) -> Iterator[str]:
        while self.jobs:
            yield self.jobs.pop(0)

    def settle(self, job: str) -> None:
        self.settled.append(job)


@dataclass
class FakePublisher:
    """What was said, and when."""

    rung: list[str] = field(default_factory=list)
    late: dict[str, float] = field(default_factory=dict)
    told: list[JobEvent] = field(default_factory=list)
    topped_up: list[tuple[str, ...]] = field(default_factory=list)

    def ring(self, job: str) -> None:
        self.rung.append(job)

    def ring_later(self, job: str, seconds: float) -> None:
        self.late[job] = seconds

    def is_late(self, job: str) -> bool:
        return job in self.late

    def tell(self, event: JobEvent) -> None:
        self.told.append(event)

    def top_up(self, jobs: tuple[str, ...]) -> None:
        self.topped_up.append(jobs)


class Scene:
    """A store, jobs in it, and one worker's calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self.listener, self.publisher = FakeListener(), FakePublisher()
        self.queue = Queue(MemoryStore(), clock=lambda: self.now)
        self.inbox = BrokerInbox(
            self.listener,  # type: ignore[arg-type]
            self.publisher,  # type: ignore[arg-type]
            self.queue,
            tags=("gpu",),
        )

    def job(self, *tags: str) -> str:
        job = new_job_id()
        state = JobState(job=job, status=Status.QUEUED, tags=tags, txn=new_txn())
        self.queue.submit(state, b"{}")
        return job

    def message(self, job: str) -> list[str]:
        self.listener.jobs.append(job)
        return [marker.job for marker in self.inbox.received()]

    def claim(self, job: str) -> Any:
        (marker,) = [found for found in self.queue.candidates(["gpu"]) if found.job == job]
        held = self.queue.claim(marker, owner="w", lease_s=LEASE_S)
        assert held is not None
        return held


def test_acknowledged_at_the_claim_not_before_and_not_at_the_end() -> None:
    scene = Scene()
    job = scene.job()
    assert scene.message(job) == [job]
    assert scene.listener.settled == []
    held = scene.claim(job)
    scene.inbox.claimed(held.state)
    scene.inbox.settle([job])
    assert scene.listener.settled == [job]
    done = scene.queue.succeed(held, manifest_sha256="0" * 64)
    scene.inbox.changed(job, done.state)
    assert scene.listener.settled == [job] and scene.publisher.rung == []
    states = [(event.state, event.attempt) for event in scene.publisher.told]
    assert states == [(Status.RUNNING, 1), (Status.SUCCEEDED, 1)]
    running, ended = scene.publisher.told
    assert running.started_at == running.changed_at == ended.started_at != ""
    assert ended.submitted_at and ended.changed_at >= ended.started_at


def test_returned_it_rings_for_the_next() -> None:
    scene = Scene()
    job = scene.job()
    scene.inbox.changed(job, scene.queue.release(scene.claim(job)).state)
    assert scene.publisher.rung == [job]
    assert [event.state for event in scene.publisher.told] == [Status.QUEUED]
    scene.inbox.changed(job, None)
    assert len(scene.publisher.rung) == len(scene.publisher.told) == 1, "lost: others know better"


def test_ended_and_unknown_ones_are_acknowledged() -> None:
    scene = Scene()
    ended, unknown = scene.job(), new_job_id()
    scene.queue.cancel(ended)
    assert scene.message(ended) == scene.message(unknown) == []
    assert scene.listener.settled == [ended, unknown]
    assert scene.publisher == FakePublisher()


def test_what_cannot_be_taken_is_passed_on_later_and_later() -> None:
    scene = Scene()
    foreign, full = scene.job("cuda"), scene.job("gpu")
    pauses = []
    for _ in range(7):
        assert scene.message(foreign) == []
        pauses.append(scene.publisher.late.pop(foreign))
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert scene.message(full) == [full]
    scene.inbox.settle([])
    assert scene.publisher.late == {full: 2.0}
    assert scene.listener.settled == [foreign] * 7 + [full]


def test_repeated_messages_of_a_job_that_cannot_be_taken_become_one() -> None:
    scene = Scene()
    foreign = scene.job("cuda")
    for _ in range(20):
        scene.message(foreign)
    assert scene.publisher.late == {foreign: 2.0} and scene.listener.settled == [foreign] * 20


def test_the_message_of_a_dead_owner_makes_its_finder_watch() -> None:
    scene = Scene()
    job = scene.job()
    scene.claim(job)
    assert scene.message(job) == [] and scene.listener.settled == [job]
    scene.now = LEASE_S - 1
    assert scene.queue.watch(1) == []
    scene.now = LEASE_S + 1
    (lost,) = scene.queue.watch(1)
    assert (lost.job, lost.status, lost.losses) == (job, Status.QUEUED, 1)
    scene.inbox.changed(job, lost)
    assert scene.publisher.rung == [job]


def test_a_store_that_does_not_answer_puts_the_message_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()
    job = scene.job()

    def fail(key: str, **options: object) -> None:
        raise StoreError("no answer")

    monkeypatch.setattr(scene.queue.store, "get", fail)
    assert scene.message(job) == []
    assert scene.publisher.late == {job: 2.0} and scene.listener.settled == [job]


def test_the_message_of_a_damaged_state_ends() -> None:
    scene = Scene()
    job = scene.job()
    scene.queue.store.put(state_key(job), b"[" * 100)
    assert scene.message(job) == []
    assert scene.listener.settled == [job] and scene.publisher.late == {}


def test_standing_jobs_are_rung_for_again() -> None:
    scene = Scene()
    scene.inbox.resend(["b", "a"])
    scene.inbox.resend([])
    assert scene.publisher.topped_up == [("a", "b")]


def test_without_a_broker_nothing_happens() -> None:
    inbox = NoInbox()
    assert (inbox.is_up, inbox.trouble, inbox.received()) == (False, "", [])
