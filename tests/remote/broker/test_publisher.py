"""The publisher: in order, bounded, patient with a broker that is down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from insaat_cli.remote.broker import outages, publisher
from insaat_cli.remote.broker.messages import JobEvent
from insaat_cli.remote.broker.publisher import Publisher
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import Status
from tests.remote.broker.fake_links import FakeBroker
from tests.remote.machines import wait_for


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    monkeypatch.setattr(outages, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(outages, "LONGEST_PAUSE_S", 0.02)
    return FakeBroker()


@pytest.fixture
def sender(broker: FakeBroker) -> Iterator[Publisher]:
    made = Publisher(broker.link)  # type: ignore[arg-type]
    made.start()
    yield made
    made.stop()


def test_what_was_said_while_the_broker_was_down_is_sent_later(
    broker: FakeBroker, sender: Publisher
) -> None:
    broker.down = True
    jobs = [new_job_id() for _ in range(3)]
    event = JobEvent(job=jobs[0], state=Status.SUCCEEDED)
    sender.tell(event)
    for job in jobs:
        sender.ring(job)
    broker.down = False
    wait_for(lambda: broker.rung == jobs, seconds=5, about="three messages")
    assert broker.told == [event]


def test_what_waits_is_bounded(broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "MAX_UNSENT", 5)
    sender = Publisher(broker.link)  # type: ignore[arg-type]
    jobs = [new_job_id() for _ in range(20)]
    for job in jobs:
        sender.ring(job)
        sender.ring_later(job, 1000)
    assert sum(sender.is_late(job) for job in jobs) == 5
    sender._late.clear()
    sender.start()
    sender.stop()
    assert broker.rung == jobs[-5:]


def test_late_rings_come_late_or_at_the_end(broker: FakeBroker, sender: Publisher) -> None:
    soon, late = new_job_id(), new_job_id()
    sender.ring_later(late, 1000)
    sender.ring_later(soon, 0.05)
    wait_for(lambda: broker.rung == [soon], seconds=5, about="a message")
    assert not sender.is_late(soon) and sender.is_late(late)
    sender.stop()
    assert broker.rung == [soon, late]


def test_the_end_does_not_wait_for_a_broker_that_is_down(
    broker: FakeBroker, sender: Publisher
) -> None:
    broker.down = True
    sender.ring(new_job_id())
    sender.stop()
    assert not sender._thread.is_alive()


def test_a_quiet_publisher_disconnects(
    broker: FakeBroker, sender: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "IDLE_S", 0.05)
    for count in (1, 2):
        sender.ring(new_job_id())
        wait_for(lambda count=count: broker.closed == count, seconds=5, about="a disconnection")
    assert len(broker.rung) == broker.opened == 2


@pytest.mark.parametrize(("waiting", "rung"), [(0, 3), (2, 3), (3, 0), (9, 0)])
def test_only_missing_messages_are_sent_again(
    broker: FakeBroker, sender: Publisher, waiting: int, rung: int
) -> None:
    for _ in range(waiting):
        broker.send("{}")
    sender.top_up(tuple(new_job_id() for _ in range(3)))
    sender.stop()
    assert len(broker.rung) == rung
