"""Workers that only a message of a real server wakes: lost, forged, late, and of the dead."""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import (
    WorkerProcess,
    check_published,
    make_photos,
    starts,
    wait_end,
    wait_for,
)

from insaat_cli.remote.client.client import Client
from insaat_cli.remote.client.submit import SubmitOptions, new_job_id, submit
from insaat_cli.remote.connections import open_bell
from insaat_cli.remote.doorbell.doorbell import Doorbell, text_of
from insaat_cli.remote.doorbell.sqs import SqsQueue
from insaat_cli.remote.queue.job_spec import allowed_pipelines
from insaat_cli.remote.queue.job_state import Status
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.protocol import Store
from insaat_cli.remote.store.s3_store import S3Address, S3Store

NEVER = "1000"


@dataclass
class Rig:
    """A store, an SQS queue, and workers that would not look on their own."""

    store: Store
    remote: str
    endpoint: str | None
    sqs: SqsQueue
    client: Client
    folder: Path
    pipeline: Path
    workers: list[WorkerProcess] = field(default_factory=list)

    def hire(self, *options: str, sweep: str = NEVER, lease_s: float = 4.0) -> WorkerProcess:
        worker = WorkerProcess(
            self.remote, self.pipeline, self.folder / f"w{len(self.workers)}",
            "--queue-url", self.sqs.url, "--sweep", sweep, *options,
            endpoint=self.endpoint, lease_s=lease_s,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def ready(self, worker: WorkerProcess) -> None:
        """Until it has looked once, and found nothing."""
        wait_for(lambda: "worker " in worker.log.read_text(), seconds=20, about="a worker")
        time.sleep(1.0)

    def submit(self, *, ring: bool = True) -> str:
        photos = self.folder / "photos"
        wanted = SubmitOptions(
            sources=(photos if photos.exists() else make_photos(photos),), pipeline="fake"
        )
        allowed = allowed_pipelines({"fake": str(self.pipeline)})
        if ring:
            return submit(self.client.queue, wanted, allowed=allowed, ring=self.client.ring).job
        return submit(self.client.queue, wanted, allowed=allowed).job

    def messages(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs._quick.get_queue_attributes(QueueUrl=self.sqs.url, AttributeNames=names)
        return sum(int(value) for value in found["Attributes"].values())


def make_queue(endpoint: str, **attributes: str) -> str:
    import boto3

    client = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1")
    name = f"insaat-{secrets.token_hex(4)}"
    return str(client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path, sqs_endpoint: str) -> Iterator[Rig]:
    endpoint, remote = None, str(tmp_path / "queue")
    store: Store = LocalStore(tmp_path / "queue")
    if getattr(request, "param", "local") == "s3":
        address: S3Address = request.getfixturevalue("s3_address")
        store, endpoint = S3Store(address), address.endpoint
        remote = f"s3://{address.bucket}/{address.prefix}"
    sqs = SqsQueue(make_queue(sqs_endpoint), wait_s=1)
    client = Client(store, Queue(store, clock=time.monotonic), Doorbell(sqs))
    pipeline = write_pipeline(tmp_path, seconds=0.3)
    made = Rig(store, remote, endpoint, sqs, client, tmp_path, pipeline)
    yield made
    for worker in made.workers:
        worker.close()


@pytest.mark.parametrize(
    "rig", [pytest.param("local", marks=pytest.mark.long), "s3"], indirect=True
)
def test_a_job_is_found_by_its_message_alone(rig: Rig) -> None:
    rig.ready(rig.hire(lease_s=20.0))
    job = rig.submit()
    state = wait_end(rig.client, job)
    assert (state.status, state.epoch) == (Status.SUCCEEDED, 1), state.problem
    check_published(rig.client, job, rig.folder / "out")
    wait_for(lambda: rig.messages() == 0, seconds=10, about="an empty doorbell")


def test_lost_repeated_and_forged_messages(rig: Rig) -> None:
    rig.ready(rig.hire(sweep="2"))
    lost = rig.submit(ring=False)
    twice = rig.submit()
    for text in (text_of(twice), "forged", text_of(new_job_id()), text_of(twice)):
        rig.sqs.send(text)
    for job in (lost, twice):
        state = wait_end(rig.client, job)
        assert (state.status, state.epoch, state.losses) == (Status.SUCCEEDED, 1, 0)
    assert len(starts(rig.folder, "one")) == 2, "nothing was done twice"
    wait_for(lambda: rig.messages() == 0, seconds=20, about="an empty doorbell")


@pytest.mark.long
def test_a_busy_worker_rings_again_for_a_job_whose_message_was_lost(rig: Rig) -> None:
    (rig.folder / "deeds").write_text("one hang")
    first = rig.hire(sweep="1", lease_s=20.0)
    rig.submit()
    wait_for(lambda: bool(starts(rig.folder, "one")), seconds=25, about="first stage")
    waiting = rig.submit(ring=False)
    wait_for(lambda: rig.sqs.visible() > 0, seconds=15, about="a second message")
    (rig.folder / "deeds").unlink()
    rig.ready(rig.hire(lease_s=20.0))
    assert wait_end(rig.client, waiting).status is Status.SUCCEEDED
    assert rig.sqs.visible() < 5, "not again and again"
    first.signal(signal.SIGTERM)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.long)]
)
def test_the_message_comes_back_when_the_worker_goes(rig: Rig, number: signal.Signals) -> None:
    (rig.folder / "deeds").write_text("two hang")
    first = rig.hire()
    job = rig.submit()
    wait_for(lambda: bool(starts(rig.folder, "two")), seconds=25, about="second stage")
    (rig.folder / "deeds").unlink()
    rig.ready(rig.hire())
    first.signal(number)
    state = wait_end(rig.client, job, seconds=60)
    assert state.status is Status.SUCCEEDED and state.epoch == 2
    assert (state.releases, state.losses) == ((1, 0) if number == signal.SIGTERM else (0, 1))
    check_published(rig.client, job, rig.folder / "out")
    wait_for(lambda: rig.messages() == 0, seconds=20, about="an empty doorbell")


@pytest.mark.long
def test_poison_ends_and_leaves_no_message(rig: Rig) -> None:
    (rig.folder / "deeds").write_text("two segv")
    rig.hire()
    state = wait_end(rig.client, rig.submit(), seconds=60)
    assert (state.status, state.failures) == (Status.FAILED, 3)
    wait_for(lambda: rig.messages() == 0, seconds=20, about="an empty doorbell")


@pytest.mark.long
def test_a_dead_letter_is_only_a_letter(rig: Rig, sqs_endpoint: str) -> None:
    """A message received too often goes to the other queue; its job is open and gets done."""
    dead = make_queue(sqs_endpoint)
    policy = {
        "deadLetterTargetArn": f"arn:aws:sqs:us-east-1:123456789012:{dead.rpartition('/')[2]}",
        "maxReceiveCount": "2",
    }
    rig.sqs = SqsQueue(make_queue(sqs_endpoint, RedrivePolicy=json.dumps(policy)), wait_s=0)
    rig.client = Client(rig.store, rig.client.queue, Doorbell(rig.sqs))
    job = rig.submit()
    for _ in range(4):
        rig.sqs.receive(0)
    assert SqsQueue(dead).visible() == 1 and rig.messages() == 0
    rig.hire()
    assert wait_end(rig.client, job).status is Status.SUCCEEDED


@pytest.mark.long
def test_without_a_server_the_queue_works_all_the_same(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "queue")
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    url = "http://127.0.0.1:9/1/none"
    client = Client(store, Queue(store, clock=time.monotonic), open_bell({"queue_url": url}, {}))
    wanted = SubmitOptions(sources=(make_photos(tmp_path / "photos"),), pipeline="fake")
    allowed = allowed_pipelines({"fake": str(pipeline)})
    job = submit(client.queue, wanted, allowed=allowed, ring=client.ring).job
    worker = WorkerProcess(
        str(tmp_path / "queue"), pipeline, tmp_path / "w", "--queue-url", url, "--sweep", "1"
    )
    try:
        assert wait_end(client, job).status is Status.SUCCEEDED
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    finally:
        worker.close()
