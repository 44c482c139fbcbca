"""Messages that are lost, repeated, late or forged: the state decides, and no message can harm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from insaat_cli.errors import StoreError, UsageError
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.connections import open_bell
from insaat_cli.remote.doorbell.doorbell import Doorbell, Listener, job_of, text_of
from insaat_cli.remote.doorbell.inbox import NOT_NOW_S, DoorbellInbox
from insaat_cli.remote.doorbell.sqs import Message
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.memory_store import MemoryStore

LEASE_S = 60.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "null",
        "[]",
        '{"job": "20260101-000000-aaaaaaaa"}',
        '{"insaat": 2, "job": "20260101-000000-aaaaaaaa"}',
        '{"insaat": 1, "job": "../../etc/passwd"}',
        '{"insaat": 1, "job": "20260101-000000-aaaaaaaa/../x"}',
        '{"insaat": 1, "job": ["20260101-000000-aaaaaaaa"]}',
        '{"insaat": 1, "job": "20260101-000000-aaaaaaaa", "command": "sh"}',
        '{"insaat": 1, "job": "20260101-000000-aaaaaaaa"}' + " " * 1000,
        "[" * 900,
    ],
)
def test_forged_texts_name_no_job(text: str) -> None:
    assert job_of(text) is None


def test_a_message_names_its_job_and_nothing_else() -> None:
    job = new_job_id()
    assert job_of(text_of(job)) == job
    assert set(json.loads(text_of(job))) == {"insaat", "job"}


@pytest.mark.parametrize(
    "url", ["insaat", "ftp://x/y", "https://", "https://sqs.x.com/", "s3://x/y"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError):
        open_bell({"queue_url": url}, {})


def test_no_doorbell_unless_asked_for(tmp_path: Path) -> None:
    assert open_bell({}, {"XDG_CONFIG_HOME": str(tmp_path)}) is None


@dataclass
class FakeMessages:
    """What was done with messages."""

    sent: list[str] = field(default_factory=list)
    hidden: list[tuple[str, float]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    waiting: int = 0

    def send(self, text: str) -> None:
        self.sent.append(str(job_of(text)))

    def receive(self, visibility_s: float) -> Message | None:
        raise AssertionError("not used here")

    def hide(self, message: Message, seconds: float) -> None:
        self.hidden.append((message.receipt, seconds))

    def delete(self, message: Message) -> None:
        self.deleted.append(message.receipt)

    def visible(self) -> int:
        return self.waiting


class Broken:
    """A server that never answers."""

    def __getattr__(self, name: str) -> Any:
        def fail(*arguments: object) -> None:
            raise StoreError("no answer")

        return fail


@dataclass
class FakeDoor:
    """In place of a Listener."""

    messages: list[Message] = field(default_factory=list)

    def came(self) -> Iterator[Message]:
        while self.messages:
            yield self.messages.pop(0)


class Scene:
    """A store, jobs in it, and one worker's calls."""

    def __init__(self, messages: Any = None) -> None:
        self.now = 0.0
        self.messages = messages or FakeMessages()
        self.door = FakeDoor()
        self.queue = Queue(MemoryStore(), clock=lambda: self.now)
        self.inbox = DoorbellInbox(
            Doorbell(self.messages),
            self.door,  # type: ignore[arg-type]
            self.queue,
            tags=("gpu",),
            lease_s=LEASE_S,
            clock=lambda: self.now,
        )

    def job(self, *tags: str) -> str:
        job = new_job_id()
        state = JobState(job=job, status=Status.QUEUED, tags=tags, txn=new_txn())
        self.queue.submit(state, b"{}")
        return job

    def ring(self, text: str, receipt: str = "r") -> list[str]:
        self.door.messages.append(Message(text, receipt))
        return [marker.job for marker in self.inbox.received()]

    def claim(self, job: str) -> Any:
        (marker,) = [found for found in self.queue.candidates(["gpu"]) if found.job == job]
        held = self.queue.claim(marker, owner="w", lease_s=LEASE_S)
        assert held is not None
        return held


def test_the_message_mirrors_the_lease() -> None:
    scene = Scene()
    job = scene.job()
    assert scene.ring(text_of(job)) == [job]
    held = scene.claim(job)
    scene.inbox.settle([job])
    assert scene.messages.hidden == []
    for scene.now in (20.0, 25.0, 40.0):
        scene.inbox.settle([job])
    assert scene.messages.hidden == [("r", LEASE_S)] * 2
    done = scene.queue.succeed(held, manifest_sha256="0" * 64)
    scene.inbox.ended(job, done.state)
    assert scene.messages.deleted == ["r"]


def test_given_back_it_rings_for_the_next() -> None:
    scene = Scene()
    job = scene.job()
    scene.ring(text_of(job))
    scene.inbox.ended(job, scene.queue.release(scene.claim(job)).state)
    assert scene.messages.hidden == [("r", 0)]
    scene.inbox.ended(job, scene.queue.release(scene.claim(job)).state)
    assert scene.messages.sent == [job], "found without a message: one is needed now"
    scene.inbox.ended(job, None)
    assert scene.messages.deleted == []


def test_ended_unknown_and_forged_ones_are_deleted() -> None:
    scene = Scene()
    ended = scene.job()
    scene.queue.cancel(ended)
    for receipt, text in enumerate((text_of(ended), text_of(new_job_id()), "{}", "\0")):
        assert scene.ring(text, str(receipt)) == []
    assert scene.messages.deleted == ["0", "1", "2", "3"]


def test_what_cannot_be_taken_is_put_off() -> None:
    scene = Scene()
    foreign, full = scene.job("cuda"), scene.job("gpu")
    assert scene.ring(text_of(foreign), "foreign") == []
    assert scene.ring(text_of(full), "full") == [full]
    assert scene.ring(text_of(full), "twice") == []
    scene.inbox.settle([])
    assert scene.messages.hidden == [(name, NOT_NOW_S) for name in ("foreign", "twice", "full")]


def test_the_message_of_a_dead_owner_makes_its_finder_watch() -> None:
    scene = Scene()
    job = scene.job()
    scene.claim(job)
    assert scene.ring(text_of(job)) == []
    assert scene.messages.hidden == [("r", LEASE_S)]
    scene.now = LEASE_S - 1
    assert scene.queue.watch(1) == []
    scene.now = LEASE_S + 1
    (lost,) = scene.queue.watch(1)
    assert (lost.job, lost.status, lost.losses) == (job, Status.QUEUED, 1)
    assert scene.ring(text_of(job), "again") == [job]


@pytest.mark.parametrize(("waiting", "rung"), [(0, 3), (2, 3), (3, 0), (9, 0)])
def test_only_missing_messages_are_sent_again(waiting: int, rung: int) -> None:
    scene = Scene()
    scene.messages.waiting = waiting
    scene.inbox.resend(new_job_id() for _ in range(3))
    assert len(scene.messages.sent) == rung


def test_a_broken_doorbell_stops_nobody() -> None:
    scene = Scene(Broken())
    job = scene.job()
    assert scene.ring(text_of(job)) == [job]
    assert scene.ring("forged") == []
    scene.inbox.settle([])
    scene.inbox.queued_again(job)
    scene.inbox.resend([job])
    scene.inbox.ended(job, scene.queue.read(job).state)


def test_the_listener_takes_one_at_a_time_and_gives_back_what_came_too_late() -> None:
    class Full(FakeMessages):
        def receive(self, visibility_s: float) -> Message | None:
            self.waiting += 1
            return Message("", str(self.waiting))

    messages, wake = Full(), Event()
    listener = Listener(Doorbell(messages), wake)
    listener.start()
    time.sleep(0.1)
    assert messages.waiting == 0, "not wanted"
    listener.want(True)
    assert wake.wait(5)
    time.sleep(0.1)
    assert messages.waiting == 1
    assert [message.receipt for message in listener.came()] == ["1"]
    wake.clear()
    listener.want(True)
    assert wake.wait(5)
    listener.stop()
    assert ("2", 0) in messages.hidden
