"""A broker killed and started again, with its data and without, while a fleet is at work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from insaat_cli.remote.queue.job_state import Status
from tests.availability import missing
from tests.remote.broker_rig import Rig, page
from tests.remote.brokers import RabbitServer, RedisServer, find_rabbitmq, find_redis
from tests.remote.machines import starts, wait_for

pytestmark = pytest.mark.long
JOBS = 50
WORKERS = 3
STAGE_S = 0.05


@pytest.fixture(params=["rabbit", "redis"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RabbitServer | RedisServer]:
    made: RabbitServer | RedisServer
    if request.param == "rabbit":
        if not find_rabbitmq():
            missing("RabbitMQ (Debian's package rabbitmq-server)")
        made = RabbitServer(tmp_path / "server")
    else:
        if find_redis() is None:
            missing("Redis (Debian's package redis-server)")
        made = RedisServer(tmp_path / "server")
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def rig(server: RabbitServer | RedisServer, tmp_path: Path) -> Iterator[Rig]:
    made = Rig.at(server.url, tmp_path, seconds=STAGE_S)
    yield made
    made.close()


def ended(rig: Rig, jobs: list[str]) -> int:
    return sum(rig.client.status(job).status.ended for job in jobs)


def check_each_once(rig: Rig, jobs: list[str]) -> None:
    """Every job succeeded, in one attempt, and no stage ran twice."""
    states = [rig.client.status(job) for job in jobs]
    assert {state.status for state in states} == {Status.SUCCEEDED}
    assert {(state.epoch, state.losses, state.failures) for state in states} == {(1, 0, 0)}
    for stage in ("one", "two", "three"):
        assert len(starts(rig.folder, stage)) == len(jobs), stage


@pytest.mark.timeout(1500)
def test_killed_in_the_middle_of_fifty_jobs(server: RabbitServer | RedisServer, rig: Rig) -> None:
    """SIGKILL after a third; a third is submitted while it is down; then it is there again."""
    workers = [rig.hire(sweep="5", lease_s=60.0) for _ in range(WORKERS)]
    for worker in workers:
        rig.connected(worker)
    jobs = [rig.submit() for _ in range(JOBS // 2)]
    wait_for(lambda: ended(rig, jobs) >= JOBS // 5, seconds=300, about="a fifth of the jobs")
    server.kill()
    jobs += [rig.submit() for _ in range(JOBS // 5)]
    before = ended(rig, jobs)
    wait_for(lambda: ended(rig, jobs) >= before + 3, seconds=120, about="work without the broker")
    wait_for(
        lambda: all("ok, but polling" in page(worker, "readyz") for worker in workers),
        seconds=120,
        about="workers that know it",
    )
    server.start()
    jobs += [rig.submit() for _ in range(JOBS - len(jobs))]
    wait_for(lambda: ended(rig, jobs) == JOBS, seconds=900, about="the end of all jobs")
    check_each_once(rig, jobs)
    for worker in workers:
        rig.connected(worker)
        assert page(worker, "readyz") == "ok\n"
    rig.quiet()


@pytest.mark.timeout(300)
def test_all_messages_are_lost(server: RabbitServer | RedisServer, rig: Rig) -> None:
    """The broker comes back empty; the jobs are found by looking into the store."""
    jobs = [rig.submit() for _ in range(4)]
    assert rig.waiting() == 4
    assert rig.client.broker is not None
    link = rig.client.broker.link()
    link._jobs(link._channel).purge()
    link.close()
    assert rig.waiting() == 0
    rig.hire(sweep="2", lease_s=60.0)
    wait_for(lambda: ended(rig, jobs) == 4, seconds=120, about="the end of all jobs")
    check_each_once(rig, jobs)


@pytest.mark.timeout(300)
def test_the_events_of_a_broker_that_was_away_are_made_good(
    server: RabbitServer | RedisServer, rig: Rig
) -> None:
    """A listener sees the end of a job whose event nobody could send."""
    import threading

    from insaat_cli.remote.client.events import EventFeed

    feed = EventFeed(rig.store, rig.client.broker, poll_s=0.5, sweep_s=1000)
    heard: list[tuple[str, Status]] = []

    def listen() -> None:
        for state in feed.follow():
            heard.append((state.job, state.status))

    threading.Thread(target=listen, daemon=True).start()
    wait_for(feed._up.is_set, seconds=20, about="a connection")
    job = rig.submit()
    wait_for(lambda: (job, Status.QUEUED) in heard, seconds=20, about="the submission")
    server.kill()
    wait_for(lambda: not feed._up.is_set(), seconds=20, about="the outage")
    rig.client.cancel(job)
    wait_for(lambda: (job, Status.CANCELLED) in heard, seconds=20, about="the end")
    server.start()
    wait_for(feed._up.is_set, seconds=90, about="a connection")
    time.sleep(1.0)
    second = rig.submit()
    wait_for(lambda: (second, Status.QUEUED) in heard, seconds=20, about="the next submission")
