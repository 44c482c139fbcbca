"""The listener: one message at a time, only when wanted, acknowledged when settled."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from threading import Event

import pytest

from insaat_cli.remote.broker import listener as listener_module
from insaat_cli.remote.broker import outages
from insaat_cli.remote.broker.listener import Listener
from insaat_cli.remote.broker.messages import text_of
from insaat_cli.remote.client.submit import new_job_id
from tests.remote.broker.fake_links import FakeBroker
from tests.remote.machines import wait_for


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    monkeypatch.setattr(outages, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(outages, "LONGEST_PAUSE_S", 0.02)
    return FakeBroker()


@pytest.fixture
def wake() -> Event:
    return Event()


@pytest.fixture
def listener(broker: FakeBroker, wake: Event) -> Iterator[Listener]:
    made = Listener(broker.link, wake)  # type: ignore[arg-type]
    made.start()
    yield made
    made.stop()


def got(listener: Listener, wake: Event) -> list[str]:
    jobs: list[str] = []
    wait_for(lambda: bool(jobs.extend(listener.came()) or jobs), seconds=5, about="a message")
    assert wake.is_set()
    return jobs


def test_one_at_a_time_and_only_when_wanted(
    broker: FakeBroker, listener: Listener, wake: Event
) -> None:
    jobs = [new_job_id() for _ in range(3)]
    messages = [broker.send(text_of(job)) for job in jobs]
    time.sleep(0.1)
    assert list(listener.came()) == [] and len(broker.queue) == 3, "not wanted"
    listener.want(True)
    assert got(listener, wake) == jobs[:1]
    time.sleep(0.1)
    assert messages[0].fates == [] and list(listener.came()) == [], "not settled: no other"
    listener.settle(jobs[0])
    assert got(listener, wake) == jobs[1:2]
    assert messages[0].fates == ["ack"]
    listener.want(False)
    listener.settle(jobs[1])
    wait_for(lambda: messages[1].fates == ["ack"], seconds=5, about="an acknowledgement")
    assert len(broker.queue) == 1


def test_what_was_not_settled_is_left_to_the_broker(
    broker: FakeBroker, listener: Listener, wake: Event
) -> None:
    message = broker.send(text_of(new_job_id()))
    listener.want(True)
    got(listener, wake)
    listener.stop()
    assert message.fates == [] and broker.closed == 1


def test_garbage_is_removed_and_told_of_once(
    broker: FakeBroker, listener: Listener, wake: Event, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [broker.send(body) for body in ("forged", b"\xff", json.dumps({"insaat": 1}), "x" * 9999)]
    bad.append(broker.send(text_of(new_job_id()), "application/x-python-serialize"))
    job = new_job_id()
    broker.send(text_of(job))
    listener.want(True)
    assert got(listener, wake) == [job]
    assert [message.fates for message in bad] == [["ack"]] * 5
    assert caplog.text.count("names no job") == 1


def test_an_outage_is_told_of_once_and_ends(
    broker: FakeBroker, wake: Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "insaat.broker")
    broker.down = True
    listener = Listener(broker.link, wake)  # type: ignore[arg-type]
    listener.start()
    try:
        listener.want(True)
        wait_for(lambda: listener.trouble == "no answer", seconds=5, about="trouble")
        time.sleep(0.1)
        assert not listener.is_up
        for _ in range(2):
            broker.down = False
            wait_for(lambda: listener.is_up, seconds=5, about="a connection")
            assert listener.trouble == "" and wake.is_set()
            wake.clear()
            broker.down = True
            wait_for(lambda: not listener.is_up, seconds=5, about="trouble")
            assert wake.wait(5), "the worker polls from now on"
            time.sleep(0.1)
        assert caplog.text.count("no answer; looking for jobs by polling") == 3
        assert caplog.text.count("connected again") == 2
    finally:
        listener.stop()


def test_an_outage_is_noticed_while_nothing_is_wanted(
    broker: FakeBroker, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy worker says so, too."""
    monkeypatch.setattr(listener_module, "CHECK_EVERY_S", 0.05, raising=False)
    wait_for(lambda: listener.is_up, seconds=5, about="a connection")
    broker.down = True
    wait_for(lambda: listener.trouble == "no answer", seconds=5, about="trouble")


def test_the_pause_between_tries_doubles_up_to_a_minute() -> None:
    outage = outages.Outage("so what", chance=lambda: 0.5)
    pauses = [outage.failed("down") for _ in range(12)]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0] and pauses[-1] == 60.0
    outage.over("x")
    assert outage.failed("down") == 60.0, "it did not last"
    outage.forget()
    assert outage.failed("down") == 0.5
