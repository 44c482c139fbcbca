"""Links to real servers: RabbitMQ, Redis, and moto in place of SQS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from kombu import Connection
from redis import Redis

from insaat_cli.remote.broker import link as link_module
from insaat_cli.remote.broker.address import BrokerAddress, Scheme
from insaat_cli.remote.broker.broker import Broker
from insaat_cli.remote.broker.link import BrokerError, Link
from insaat_cli.remote.broker.messages import JobEvent, job_of
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import Status
from tests.availability import missing
from tests.remote.brokers import (
    ENCODED,
    PASSWORD,
    RabbitServer,
    RedisServer,
    find_rabbitmq,
    find_redis,
)
from tests.remote.machines import wait_for

KINDS = pytest.mark.parametrize("broker_url", ["rabbit", "redis", "sqs"], indirect=True)


def broker_at(url: str) -> Broker:
    return Broker(address=BrokerAddress.parse(url))


class Reader:
    """A consumer that keeps what it receives."""

    def __init__(self, link: Link, *, settle: bool = True) -> None:
        self.link, self.settle = link, settle
        self.jobs: list[str | None] = []
        self.messages: list[Any] = []
        self.consumer = link.listen(self._on_message)
        link.do("receive", self.consumer.consume)

    def _on_message(self, message: Any) -> None:
        self.messages.append(message)
        self.jobs.append(job_of(message.body, message.content_type))
        if self.settle:
            self.link.do("settle", message.ack)

    def read(self, enough: Callable[[], bool], seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not enough() and time.monotonic() < deadline:
            self.link.drain(0.2)


@KINDS
def test_requests_events_and_what_comes_back(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test for all that a link does, since a RabbitMQ takes seconds to start."""
    monkeypatch.setattr(link_module, "LONG_POLL_S", 1)
    broker = broker_at(broker_url)
    sender, jobs = broker.link(), [new_job_id() for _ in range(3)]
    for job in jobs:
        sender.ring(job)
    assert sender.waiting() == 3

    first = Reader(broker.link(), settle=False)
    first.read(lambda: bool(first.jobs))
    first.read(lambda: False, 0.5)
    assert len(first.jobs) == 1, "one at a time, until it is settled"
    first.link.close()

    second = Reader(broker.link(heartbeat_s=30))
    second.read(lambda: len(second.jobs) == 3)
    assert set(second.jobs) == set(jobs), "what a reader had not settled came again"
    wait_for(lambda: sender.waiting() == 0, seconds=5, about="an empty queue")
    second.link.do("leave", second.consumer.cancel)
    sender.ring(jobs[0])
    if second.link.must_drain:
        second.link.drain(0.2)
    assert sender.waiting() == 1, "who has left receives nothing"

    event = JobEvent(job=jobs[0], state=Status.SUCCEEDED)
    if broker.address.scheme is Scheme.SQS:
        sender.tell(event)  # and nothing happens
        with pytest.raises(BrokerError, match="no fan-out"):
            second.link.overhear(print)
    else:
        assert overheard(broker, sender, event) == [event.to_text()] * 2
    assert sender.waiting() == 1, "events are no requests"
    for link in (sender, second.link):
        link.close()


def overheard(broker: Broker, sender: Link, event: JobEvent) -> list[str]:
    """What two listeners hear of one event."""
    heard: list[str | bytes] = []
    ears = [broker.link(heartbeat_s=30) for _ in range(2)]
    for ear in ears:
        ear.overhear(lambda message: heard.append(message.body))
        ear.drain(0.1)
    sender.tell(event)
    for ear in ears:
        ear.drain(2)
        ear.close()
    return [text if isinstance(text, str) else text.decode() for text in heard]


@pytest.mark.parametrize(
    "broker_url", ["redis", pytest.param("rabbit", marks=pytest.mark.long)], indirect=True
)
def test_a_queue_is_bounded(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_MESSAGES", 5)
    broker = broker_at(broker_url)
    link = broker.link()
    for _ in range(5):
        link.ring(new_job_id())
    if broker.address.scheme is Scheme.REDIS:
        with pytest.raises(BrokerError, match="5 messages wait already"):
            link.ring(new_job_id())
    else:
        link.ring(new_job_id())
    assert link.waiting() == 5
    link.close()


def test_garbage_in_redis_harms_nobody(redis_server: RedisServer) -> None:
    """Not even what kombu itself cannot read: the reader fails, and its next link goes on."""
    broker = broker_at(f"{redis_server.url}?queue=garbage")
    raw = Redis(port=redis_server.port, password=PASSWORD)
    sender, job = broker.link(), new_job_id()
    bad = ["", "forged", "[]", "{}", json.dumps({"body": "x"}), b"\xff\x80", "x" * 2_000_000]
    for body in bad:
        raw.lpush("garbage", body)
    sender.ring(job)
    jobs: list[str | None] = []
    for _ in range(len(bad) + 3):
        reader = Reader(broker.link())
        try:
            reader.read(lambda reader=reader: job in reader.jobs, 3)  # type: ignore[misc]
        except BrokerError as error:
            assert PASSWORD not in error.message
        jobs += reader.jobs
        reader.link.close()
        if job in jobs:
            break
    assert job in jobs and sender.waiting() == 0
    sender.close()


@pytest.mark.long
def test_garbage_in_rabbitmq_harms_nobody(rabbit_server: RabbitServer) -> None:
    broker = broker_at(f"{rabbit_server.url}?queue=garbage")
    sender, job = broker.link(), new_job_id()
    with Connection(rabbit_server.url) as raw:
        producer = raw.Producer()
        for body, kind in (
            # More than the queue may hold: it is dropped, with what stood before it.
            (b"x" * 20_000_000, "application/json"),
            (b"forged", "application/json"),
            (b"", "application/json"),
            (b"\x80\x04K\x01.", "application/x-python-serialize"),
        ):
            producer.publish(
                body, routing_key="garbage", content_type=kind, content_encoding="binary"
            )
    sender.ring(job)
    reader = Reader(broker.link(heartbeat_s=30))
    reader.read(lambda: job in reader.jobs)
    assert reader.jobs == [None, None, None, job]
    for link in (sender, reader.link):
        link.close()


@pytest.mark.parametrize(
    "broker_url", ["redis", pytest.param("rabbit", marks=pytest.mark.long)], indirect=True
)
def test_a_wrong_password_is_told_without_it(broker_url: str) -> None:
    with pytest.raises(BrokerError, match="cannot connect to") as caught:
        broker_at(broker_url.replace(ENCODED, "wr0ng%21")).link()
    assert "wr0ng" not in caught.value.message


@pytest.mark.long
def test_a_queue_of_somebody_else_is_refused(rabbit_server: RabbitServer) -> None:
    """One that was made without our limits: an error, not a guess."""
    with Connection(rabbit_server.url) as raw:
        raw.default_channel.queue_declare("theirs", durable=True, auto_delete=False)
    with pytest.raises(BrokerError, match="PRECONDITION_FAILED"):
        broker_at(f"{rabbit_server.url}?queue=theirs").link()


@pytest.mark.parametrize("kind", ["redis", pytest.param("rabbit", marks=pytest.mark.long)])
def test_tls_is_checked(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose certificate the system does not trust, or that has another name, is none."""
    if not (find_redis() if kind == "redis" else find_rabbitmq()):
        missing(f"{kind} (a Debian package)")
    ours, theirs = trustme.CA(), trustme.CA()
    for name, authority in (("ours", ours), ("theirs", theirs)):
        authority.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    certificate = tmp_path / "server.pem"
    ours.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    server = (RedisServer if kind == "redis" else RabbitServer)(tmp_path / "server", certificate)
    try:
        server.start()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ours.pem"))
        link = broker_at(server.tls_url).link()
        link.ring(new_job_id())
        assert link.waiting() == 1
        link.close()
        with pytest.raises(BrokerError, match=r"(?i)certificate|hostname|IP address"):
            broker_at(server.tls_url.replace("@localhost", "@127.0.0.1")).link()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "theirs.pem"))
        with pytest.raises(BrokerError, match=r"(?i)certificate"):
            broker_at(server.tls_url).link()
    finally:
        server.close()
