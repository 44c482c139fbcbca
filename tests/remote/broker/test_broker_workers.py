"""Workers that only a message of a real server wakes: lost, forged, repeated, and of the dead."""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from insaat_cli.remote.broker.address import Scheme
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import Status
from tests.availability import missing
from tests.remote.broker_rig import Rig, page
from tests.remote.brokers import PASSWORD, RedisServer, find_redis
from tests.remote.machines import (
    check_published,
    starts,
    wait_end,
    wait_for,
)

CLAIM_S = 1.0
"""From the submission to the claim, on an idle machine."""


@pytest.fixture
def rig(broker_url: str, tmp_path: Path) -> Iterator[Rig]:
    made = Rig.at(broker_url, tmp_path)
    yield made
    made.close()


def of_kinds(*quick: str) -> pytest.MarkDecorator:
    """Those that are not `quick` run with the long tests."""
    kinds = [
        name if name in quick else pytest.param(name, marks=pytest.mark.long)
        for name in ("redis", "sqs", "rabbit")
    ]
    return pytest.mark.parametrize("broker_url", kinds, indirect=True)


@of_kinds("redis")
def test_a_job_is_found_by_its_message_alone(rig: Rig) -> None:
    worker = rig.hire()
    rig.connected(worker)
    job = rig.submit()
    state = wait_end(rig.client, job)
    assert (state.status, state.epoch) == (Status.SUCCEEDED, 1), state.problem
    check_published(rig.client, job, rig.folder / "out")
    rig.quiet()
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    log = worker.log.read_text()
    assert PASSWORD not in log and "pass%2F" not in log


@of_kinds()
def test_from_submission_to_claim(rig: Rig) -> None:
    """A second, on a machine that has nothing else to do; five of it are allowed here."""
    rig.connected(rig.hire())
    taken = []
    for _ in range(5):
        job = rig.submit()
        submitted = time.monotonic()
        wait_for(
            lambda job=job: rig.client.status(job).status is not Status.QUEUED,
            seconds=20, about="a claim",
        )  # fmt: skip
        taken.append(time.monotonic() - submitted)
        wait_end(rig.client, job)
    print(f"{rig.url.partition(':')[0]}: submit to claim {sorted(taken)} s")
    assert sorted(taken)[2] < 5 * CLAIM_S


@of_kinds()
def test_lost_repeated_and_forged_messages(rig: Rig) -> None:
    rig.connected(rig.hire(sweep="2"))
    lost, twice = rig.submit(announce=False), rig.submit()
    assert rig.client.broker is not None
    link = rig.client.broker.link()
    for job in (twice, new_job_id(), twice):
        link.ring(job)
    for text in ("forged", json.dumps({"insaat": 1, "job": "../x"}), "x" * 50_000):
        link._publish(text, exchange="", routing_key=rig.client.broker.address.queue)
    link.close()
    for job in (lost, twice):
        state = wait_end(rig.client, job)
        assert (state.status, state.epoch, state.losses) == (Status.SUCCEEDED, 1, 0)
    assert len(starts(rig.folder, "one")) == 2, "nothing was done twice"
    rig.quiet()


@pytest.mark.long
@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_a_busy_worker_rings_again_for_a_job_whose_message_was_lost(rig: Rig) -> None:
    (rig.folder / "deeds").write_text("one hang")
    first = rig.hire(sweep="1")
    rig.connected(first)
    rig.submit()
    wait_for(lambda: bool(starts(rig.folder, "one")), seconds=25, about="first stage")
    waiting = rig.submit(announce=False)
    wait_for(lambda: rig.waiting() > 0, seconds=15, about="a second message")
    (rig.folder / "deeds").unlink()
    rig.hire()
    assert wait_end(rig.client, waiting).status is Status.SUCCEEDED
    assert rig.waiting() < 5, "not again and again"


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("broker_url", ["redis", "rabbit"], indirect=True)
def test_a_job_goes_to_the_next_worker(rig: Rig, number: signal.Signals) -> None:
    """Its message was acknowledged at the claim; who returns it, or finds it lost, rings again."""
    (rig.folder / "deeds").write_text("two hang")
    first = rig.hire(lease_s=4.0)
    rig.connected(first)
    job = rig.submit()
    wait_for(lambda: bool(starts(rig.folder, "two")), seconds=25, about="second stage")
    rig.quiet()
    (rig.folder / "deeds").unlink()
    rig.connected(rig.hire(lease_s=4.0))
    first.signal(number)
    state = wait_end(rig.client, job, seconds=60)
    assert state.status is Status.SUCCEEDED and state.epoch == 2
    assert (state.releases, state.losses) == ((1, 0) if number == signal.SIGTERM else (0, 1))
    check_published(rig.client, job, rig.folder / "out")
    rig.quiet()


@pytest.mark.long
@pytest.mark.parametrize("broker_url", ["redis", "rabbit"], indirect=True)
def test_while_a_job_runs_its_message_is_gone(rig: Rig) -> None:
    """Acknowledged at the claim: nothing comes back from a worker that was killed later."""
    (rig.folder / "deeds").write_text("two hang")
    worker = rig.hire(lease_s=60.0)
    rig.connected(worker)
    rig.submit()
    wait_for(lambda: bool(starts(rig.folder, "two")), seconds=60, about="second stage")
    worker.close()
    time.sleep(1.0)
    assert rig.waiting() == 0
    assert rig.client.broker is not None
    address = rig.client.broker.address
    if address.scheme is Scheme.REDIS:
        raw = Redis(port=address.port, password=PASSWORD)
        assert raw.hlen(f"{address.queue}.unacked") == 0


def test_without_the_broker_a_worker_polls_and_says_so(tmp_path: Path) -> None:
    """Down at the start, there later: the worker says both, and no job waits for it."""
    if find_redis() is None:
        missing("Redis (Debian's package redis-server)")
    server = RedisServer(tmp_path / "redis")
    rig = Rig.at(f"{server.url}?queue=q{secrets.token_hex(4)}", tmp_path)
    worker = rig.hire()
    try:
        job = rig.submit()
        assert wait_end(rig.client, job).status is Status.SUCCEEDED
        told = "ok, but polling: cannot connect to redis://127.0.0.1"
        wait_for(
            lambda: page(worker, "readyz").startswith(told),
            seconds=60,
            about="a worker that says that it polls",
        )
        ready = page(worker, "readyz")
        assert page(worker, "healthz") == "ok\n"
        assert "\ninsaat_worker_broker_connected 0\n" in page(worker, "metrics")
        server.start()
        rig.connected(worker)
        assert page(worker, "readyz") == "ok\n"
        log = worker.log.read_text()
        assert "looking for jobs by polling" in log and "connected again" in log
        assert PASSWORD not in log + ready and "pass%2F" not in log + ready
    finally:
        rig.close()
        server.close()


def test_a_submission_without_the_broker_succeeds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig.at("amqp://someone:s3cret@127.0.0.1:9/", tmp_path)
    job = rig.submit()
    assert rig.client.status(job).status is Status.QUEUED
    assert f"job {job}: not announced, workers will find it" in caplog.text
    assert "s3cret" not in caplog.text
