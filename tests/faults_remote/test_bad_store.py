"""Servers that fail, lines that break, objects that rot, submitters that die."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from insaat_cli.errors import StoreError
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.keys import input_key, result_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import Pause
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import CorruptError
from insaat_cli.remote.store.s3_store import S3Address, S3Store
from tests.faults_remote.proxy import BadLine
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import (
    WorkerProcess,
    check_published,
    client_of,
    make_photos,
    starts,
    submit_fake,
    wait_end,
    wait_for,
)
from tests.remote.seaweed import SeaweedServer

START_S = 30.0


class Rig:
    """A job in a real S3 server, and a worker that reaches it over a bad line."""

    def __init__(self, address: S3Address, seaweed: SeaweedServer, folder: Path, chance: float):
        self.line = BadLine(seaweed.port, chance=chance)
        self.folder = folder
        self.remote = f"s3://{address.bucket}/{address.prefix}"
        self.pipeline = write_pipeline(folder, seconds=1.0)
        self.client = client_of(S3Store(address))
        self.job = submit_fake(self.client, make_photos(folder / "photos"), self.pipeline).job
        self.workers: list[WorkerProcess] = []

    def hire(self, endpoint: str, lease_s: float) -> WorkerProcess:
        folder = self.folder / f"worker{len(self.workers)}"
        worker = WorkerProcess(
            self.remote, self.pipeline, folder, endpoint=endpoint, lease_s=lease_s
        )
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.line.close()


@pytest.fixture
def rig(
    request: pytest.FixtureRequest, s3_address: S3Address, seaweed: SeaweedServer, tmp_path: Path
) -> Iterator[Rig]:
    made = Rig(s3_address, seaweed, tmp_path, getattr(request, "param", 0.0))
    yield made
    made.close()


@pytest.mark.parametrize("rig", [0.15], indirect=True)
def test_a_server_that_refuses_loses_repeats_and_delays(rig: Rig) -> None:
    rig.hire(rig.line.endpoint, 20.0)
    state = wait_end(rig.client, rig.job, seconds=150)
    assert state.status is Status.SUCCEEDED, state.problem
    check_published(rig.client, rig.job, rig.folder / "out")
    assert sum(rig.line.seen.values()) - rig.line.seen[""] >= 5, rig.line.seen


def test_a_partition_longer_than_the_lease(rig: Rig, seaweed: SeaweedServer) -> None:
    """The worker that is cut off stops itself, and another takes over."""
    first = rig.hire(rig.line.endpoint, 6.0)
    wait_for(lambda: bool(starts(rig.folder, "one")), seconds=START_S, about="first stage")
    (rig.folder / "deeds").write_text("two hang")
    rig.line.cut = True
    wait_for(lambda: f"{rig.job}: lost" in first.log.read_text(), seconds=20, about="self-stop")
    (rig.folder / "deeds").unlink()
    rig.hire(seaweed.endpoint, 6.0)
    state = wait_end(rig.client, rig.job, seconds=90)
    assert (state.status, state.losses) == (Status.SUCCEEDED, 1)
    check_published(rig.client, rig.job, rig.folder / "out")


@pytest.mark.long
def test_a_partition_shorter_than_the_lease(rig: Rig) -> None:
    rig.hire(rig.line.endpoint, 40.0)
    wait_for(lambda: bool(starts(rig.folder, "one")), seconds=START_S, about="first stage")
    rig.line.cut = True
    time.sleep(5)
    rig.line.cut = False
    state = wait_end(rig.client, rig.job, seconds=90)
    assert (state.status, state.epoch, state.losses) == (Status.SUCCEEDED, 1, 0)


@pytest.mark.long
def test_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    server = SeaweedServer(tmp_path / "weed")
    server.start()
    try:
        server.make_bucket("jobs")
        rig = Rig(S3Address(bucket="jobs", endpoint=server.endpoint), server, tmp_path, 0.0)
        try:
            rig.hire(server.endpoint, 60.0)
            wait_for(lambda: bool(starts(tmp_path, "one")), seconds=START_S, about="first stage")
            server.kill()
            time.sleep(2)
            server.start()
            state = wait_end(rig.client, rig.job, seconds=150)
            assert state.status is Status.SUCCEEDED, state.problem
            check_published(rig.client, rig.job, tmp_path / "out")
        finally:
            rig.close()
    finally:
        server.kill()


def flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("damage", [flip, pytest.param(cut, marks=pytest.mark.long)])
def test_damaged_photos_and_results_are_refused(damage: object, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "queue")
    client = client_of(store)
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    photos = make_photos(tmp_path / "photos")
    done = submit_fake(client, photos, pipeline)
    photo = done.photos.used[0]
    stored = tmp_path / "queue" / input_key(photo.sha256)
    assert callable(damage)
    damage(stored)
    worker = WorkerProcess(str(tmp_path / "queue"), pipeline, tmp_path / "w")
    try:
        state = wait_end(client, done.job, seconds=60)
        assert state.status is Status.FAILED and state.problem is not None
        assert "damaged" in state.problem.message and photo.name in state.problem.message
        assert not stored.exists(), "proven bad, so that it is sent again"
        again = submit_fake(client, photos, pipeline)
        assert again.sent_bytes == photo.path.stat().st_size, "only what is missing"
        assert wait_end(client, again.job, seconds=60).status is Status.SUCCEEDED
    finally:
        worker.close()
    manifest = client.manifest(again.job)
    entry = next(file for file in manifest.files if file.path == "three.bin")
    damage(tmp_path / "queue" / result_key(again.job, manifest.epoch, entry.sha256))
    with pytest.raises(CorruptError):
        client.fetch(again.job, tmp_path / "out")
    assert not (tmp_path / "out" / "three.bin").exists()


class Dying(MemoryStore):
    """Its user is killed at the n-th operation, before or after it was done."""

    def __init__(self, at: int, after: bool) -> None:
        super().__init__()
        self.left, self.after = at, after
        self.counting = threading.Lock()

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name not in {"put", "put_if_absent", "upload", "size"}:
            return value

        def dying(*arguments: object, **named: object) -> object:
            with self.counting:
                self.left -= 1
                dies = self.left == 0
            if dies and not self.after:
                raise KeyboardInterrupt
            result = value(*arguments, **named)
            if dies:
                raise KeyboardInterrupt
            return result

        return dying


@pytest.mark.parametrize("after", [False, True])
def test_a_submitter_killed_at_each_step_leaves_a_job_or_none(after: bool, tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path)
    photos = make_photos(tmp_path / "photos")
    outcomes = set()
    for step in range(1, 40):
        store = Dying(step, after)
        client = client_of(store)
        try:
            submit_fake(client, photos, pipeline)
            completed = True
        except KeyboardInterrupt:
            completed = False
        store.left = 0
        jobs = client.jobs()
        assert len(jobs) <= 1 and (jobs or not completed)
        outcomes.add((completed, len(jobs)))
        for state in jobs:
            assert len(client.spec(state.job).photos) == 3
            assert all(store.size(input_key(p.sha256)) for p in client.spec(state.job).photos)
            assert client.queue.candidates(), "workers will find it"
        again = submit_fake(client, photos, pipeline)
        assert client.status(again.job).status is Status.QUEUED
        if completed:
            break
    assert {(False, 0), (True, 1)} <= outcomes
    assert ((False, 1) in outcomes) == after


def test_what_a_dead_submitter_left_is_cleared_away() -> None:
    store, now = MemoryStore(), [0.0]
    queue = Queue(store, clock=lambda: now[0])
    job = new_job_id()
    store.put(f"queued/49-{job}-000000", b"")
    for now[0] in (0.0, 10.0, 4000.0):
        for marker in queue.candidates():
            assert queue.claim(marker, owner="w", lease_s=60) is None
    assert queue.candidates() == []
    late = JobState(job=job, status=Status.QUEUED, txn=new_txn())
    with pytest.raises(Exception, match=job):
        queue.submit(late, b"{}")


def swarm(
    store: MemoryStore | LocalStore | S3Store, workers: int, jobs: int
) -> dict[str, JobState]:
    """Threads that claim and publish as fast as they can."""
    client_queue = Queue(store, clock=time.monotonic)
    names = [new_job_id() for _ in range(jobs)]
    for name in names:
        client_queue.submit(JobState(job=name, status=Status.QUEUED, txn=new_txn()), b"{}")

    def work(number: int) -> None:
        queue = Queue(store, clock=time.monotonic, pause=Pause(), choose=random.Random(number))
        while markers := queue.candidates():
            for marker in markers[:20]:
                held = queue.claim(marker, owner=f"w{number}", lease_s=600)
                if held is not None:
                    queue.succeed(held, manifest_sha256="0" * 64)
                    break

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    return {name: client_queue.read(name).state for name in names}


def test_twenty_workers_two_hundred_jobs() -> None:
    store = MemoryStore()
    states = swarm(store, 20, 200)
    assert {state.status for state in states.values()} == {Status.SUCCEEDED}
    assert {(state.epoch, state.revision) for state in states.values()} == {(1, 2)}
    assert [*store.list("queued/"), *store.list("running/")] == []


@pytest.mark.long
def test_twenty_workers_two_hundred_jobs_on_a_real_server(s3_address: S3Address) -> None:
    states = swarm(S3Store(s3_address), 20, 200)
    assert {state.status for state in states.values()} == {Status.SUCCEEDED}
    assert {state.epoch for state in states.values()} == {1}


def test_a_bucket_that_does_not_exist_is_said_at_once(s3_address: S3Address) -> None:
    wrong = dataclasses.replace(s3_address, bucket="no-such-bucket-here")
    with pytest.raises(StoreError, match="NoSuchBucket"):
        client_of(S3Store(wrong)).jobs()
