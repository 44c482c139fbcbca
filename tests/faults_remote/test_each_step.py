"""Killed, cancelled or held up at one chosen request: every step of the protocol, on a real server.

A proxy between the process and the S3 server waits for the request that is the step, and acts
before the server has seen it, or after it was done and before its reply.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.keys import input_key
from insaat_cli.remote.store.s3_store import S3Address, S3Store
from tests.faults_remote.proxy import BadLine, Passing
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import (
    WorkerProcess,
    check_published,
    client_of,
    make_photos,
    submit_fake,
    wait_end,
    wait_for,
)
from tests.remote.seaweed import SeaweedServer

LEASE_S = 4.0
START_S = 40.0


@dataclass(frozen=True)
class Step:
    """A request by its method, a part of its path, and a part of its body."""

    name: str
    method: str
    path: str
    body: bytes = b""

    def is_it(self, passing: Passing) -> bool:
        return (
            passing.method == self.method
            and self.path in passing.path
            and self.body in passing.body
        )


CLAIM = Step("claim", "PUT", "/state.json", b'"status": "RUNNING"')
PUBLISH = Step("publish", "PUT", "/state.json", b'"status": "SUCCEEDED"')
WORKER_STEPS = (
    Step("announce the claim", "PUT", "/running/"),
    CLAIM,
    Step("remove the queued marker", "DELETE", "/queued/"),
    Step("read the spec", "GET", "/spec.json"),
    Step("fetch a photo", "GET", "/inputs/"),
    Step("keep a checkpoint", "PUT", "/checkpoints/"),
    Step("heartbeat", "PUT", "/state.json", b'"heartbeat": 1'),
    Step("upload a result", "PUT", "/files/"),
    Step("store the log", "PUT", "/log.txt"),
    Step("store the manifest", "PUT", "/manifest.json"),
    PUBLISH,
    Step("remove the running marker", "DELETE", "/running/"),
)
SUBMIT_STEPS = (
    Step("send a photo", "PUT", "/inputs/"),
    Step("store the spec", "PUT", "/spec.json"),
    Step("announce", "PUT", "/queued/"),
    Step("commit", "PUT", "/state.json"),
)


class Rig:
    """A job on a real server, and a line to it with a hook."""

    def __init__(self, address: S3Address, seaweed: SeaweedServer, folder: Path) -> None:
        self.address, self.direct, self.folder = address, seaweed.endpoint, folder
        self.line = BadLine(seaweed.port, chance=0.0)
        self.pipeline = write_pipeline(folder, seconds=0.4)
        self.photos = make_photos(folder / "photos")
        self.client = client_of(S3Store(address))
        self.remote = f"s3://{address.bucket}/{address.prefix}"
        self.workers: list[WorkerProcess] = []
        self.happened = threading.Event()

    def submit(self) -> str:
        return submit_fake(self.client, self.photos, self.pipeline).job

    def hire(self, endpoint: str) -> WorkerProcess:
        worker = WorkerProcess(
            self.remote, self.pipeline, self.folder / f"w{len(self.workers)}",
            endpoint=endpoint, lease_s=LEASE_S,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def at(self, step: Step, *, after: bool, act: Callable[[], bool]) -> None:
        """Do `act` at the first such request; what it returns is whether the request is lost."""

        def hook(passing: Passing) -> bool:
            if self.happened.is_set() or (passing.status is not None) != after:
                return False
            if not step.is_it(passing):
                return False
            self.happened.set()
            return act()

        self.line.hook = hook

    def finish(self, job: str) -> JobState:
        """The end of the job, with what must hold of every end."""
        state = wait_end(self.client, job, seconds=60)
        if state.status is Status.SUCCEEDED:
            check_published(self.client, job, self.folder / "out")
        wait_for(
            lambda: not [e for p in ("queued/", "running/") for e in self.client.store.list(p)],
            seconds=30,
            about="an empty index",
        )
        return state

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.line.close()


@pytest.fixture
def rig(s3_address: S3Address, seaweed: SeaweedServer, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(s3_address, seaweed, tmp_path)
    yield made
    made.close()


def both(steps: tuple[Step, ...], short: set[tuple[str, bool]]) -> list[object]:
    """Before and after each step; all but `short` are long."""
    return [
        pytest.param(
            step,
            after,
            id=f"{'after' if after else 'before'} {step.name}".replace(" ", "-"),
            marks=[] if (step.name, after) in short else [pytest.mark.long],
        )
        for step in steps
        for after in (False, True)
    ]


@pytest.mark.parametrize(("step", "after"), both(WORKER_STEPS, set()))
def test_a_worker_killed_at_this_step(rig: Rig, step: Step, after: bool) -> None:
    job = rig.submit()
    first = rig.hire(rig.line.endpoint)

    def kill() -> bool:
        first.process.kill()
        return True

    rig.at(step, after=after, act=kill)
    assert rig.happened.wait(START_S), "the step was never reached"
    rig.hire(rig.direct)
    state = rig.finish(job)
    assert state.status is Status.SUCCEEDED, state.problem
    assert (state.failures, state.releases) == (0, 0)
    assert state.epoch == state.losses + 1 <= 2


@pytest.mark.parametrize(("step", "after"), both(SUBMIT_STEPS, {("commit", True)}))
def test_a_submitter_killed_at_this_step(rig: Rig, step: Step, after: bool) -> None:
    command = [sys.executable, "-m", "insaat_cli", "submit", str(rig.photos), "--pipeline", "fake"]
    command += ["--allow-pipeline", str(rig.pipeline), "--remote", rig.remote]
    command += ["--endpoint", rig.line.endpoint]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill() -> bool:
        process.kill()
        return True

    rig.at(step, after=after, act=kill)
    assert rig.happened.wait(START_S), "the step was never reached"
    assert process.wait(10) == -9
    jobs = rig.client.jobs()
    assert len(jobs) == (1 if (step.name, after) == ("commit", True) else 0)
    for state in jobs:
        photos = rig.client.spec(state.job).photos
        assert len(photos) == 3 and all(rig.client.store.size(input_key(p.sha256)) for p in photos)
    again = submit_fake(rig.client, rig.photos, rig.pipeline)
    if step.name != "send a photo":
        assert again.sent_bytes == 0, "what was sent stays"
    rig.hire(rig.direct)
    for job in {again.job, *(state.job for state in jobs)}:
        assert wait_end(rig.client, job, seconds=60).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("step", "after", "end"),
    [
        pytest.param(CLAIM, False, Status.CANCELLED, id="before the claim", marks=pytest.mark.long),
        pytest.param(CLAIM, True, Status.CANCELLED, id="after the claim", marks=pytest.mark.long),
        pytest.param(PUBLISH, False, Status.CANCELLED, id="before publication"),
        pytest.param(
            PUBLISH, True, Status.SUCCEEDED, id="after publication", marks=pytest.mark.long
        ),
    ],
)
def test_cancelled_at_this_step(rig: Rig, step: Step, after: bool, end: Status) -> None:
    """The cancel comes first or the step does; nothing in between, and never both."""
    job = rig.submit()
    refused: list[Exception] = []

    def cancel() -> bool:
        try:
            rig.client.cancel(job)
        except Exception as error:
            refused.append(error)
        return False

    rig.hire(rig.line.endpoint)
    rig.at(step, after=after, act=cancel)
    assert rig.happened.wait(START_S), "the step was never reached"
    state = rig.finish(job)
    assert state.status is end
    assert bool(refused) == (end is Status.SUCCEEDED), "who was too late was told so"
    assert (state.result is not None) == (end is Status.SUCCEEDED)


@pytest.mark.long
@pytest.mark.parametrize("step", [PUBLISH, CLAIM], ids=["publish", "claim"])
def test_delivered_when_it_is_too_late(rig: Rig, step: Step) -> None:
    """The write of a worker that was cut off arrives after another has finished the job."""
    deliver, answers = threading.Event(), []
    job = rig.submit()
    first = rig.hire(rig.line.endpoint)

    def hook(passing: Passing) -> bool:
        if rig.happened.is_set() and passing.status is None:
            return True  # from now on the line is dead
        if not step.is_it(passing):
            return False
        if passing.status is not None:
            answers.append(passing.status)
            return True
        rig.happened.set()
        deliver.wait(60)
        return False

    rig.line.hook = hook
    assert rig.happened.wait(START_S), "the step was never reached"
    rig.hire(rig.direct)
    before = rig.finish(job)
    assert before.status is Status.SUCCEEDED
    deliver.set()
    wait_for(lambda: bool(answers), seconds=20, about="the delivery")
    assert answers == [412]
    assert rig.client.status(job) == before
    check_published(rig.client, job, rig.folder / "again")
    first.process.kill()
