"""Releases count against nobody, but a job that gets nowhere ends."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import client_of, make_photos, submit_fake

from insaat_cli.planning.deadlines import Deadlines
from insaat_cli.remote.client.client import Client
from insaat_cli.remote.queue.job_spec import allowed_pipelines
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.keys import parse_marker
from insaat_cli.remote.queue.lease import Lease
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.worker.admission import Grant
from insaat_cli.remote.worker.checkpoints import last_epoch, save
from insaat_cli.remote.worker.job_run import JobRun
from insaat_cli.remote.worker.metrics import Metrics
from insaat_cli.remote.worker.run_context import RunContext
from insaat_cli.remote.worker.standing_still import MAX_IDLE_ATTEMPTS
from insaat_cli.remote.worker.waking import StopFlag
from insaat_cli.workspace.workspace import MARKER_NAME


class Preempted:
    """A job whose workers are stopped as soon as they have it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, MemoryStore()
        self.client: Client = client_of(self.store)
        pipeline = write_pipeline(folder)
        self.job = submit_fake(self.client, make_photos(folder / "photos"), pipeline).job
        stopped = StopFlag()
        stopped.set()
        self.context = RunContext(
            store=self.store,
            machine="m",
            allowed=allowed_pipelines({"fake": str(pipeline)}),
            metrics=Metrics(),
            stop_now=stopped,
            child_deadline_s=1.0,
            deadlines=Deadlines(),
            job_s=None,
            network=False,
            checkpoint_min_s=0.0,
        )

    def attempt(self) -> JobState:
        """One attempt, which is stopped at once; the state afterwards."""
        asked = time.monotonic()
        (marker,) = [
            found
            for entry in self.store.list("queued/")
            if (found := parse_marker(entry.key)) is not None
        ]
        held = self.client.queue.claim(marker, owner="w", lease_s=60.0)
        assert held is not None
        lease = Lease(self.client.queue, held, asked=asked, clock=time.monotonic)
        grant = Grant(memory_bytes=10**9, threads=1)
        JobRun(self.context, lease, grant, self.folder / f"work-{lease.epoch}").run()
        return self.client.status(self.job)

    def finish_stage(self, epoch: int) -> None:
        stage = self.folder / f"stage-{epoch}"
        stage.mkdir()
        (stage / MARKER_NAME).write_text(json.dumps({"fingerprint": f"{epoch:064x}"}))
        save(self.store, self.job, "one", stage, self.folder, epoch=epoch)


@pytest.fixture
def preempted(tmp_path: Path) -> Preempted:
    return Preempted(tmp_path)


def test_a_job_that_is_returned_again_and_again_ends(preempted: Preempted) -> None:
    for _ in range(MAX_IDLE_ATTEMPTS - 1):
        assert preempted.attempt().status is Status.QUEUED
    state = preempted.attempt()
    assert state.status is Status.FAILED and state.problem is not None
    assert "returned to the queue 25 times in a row" in state.problem.message
    assert (state.failures, state.losses) == (0, 0)
    preempted.client.retry(preempted.job)
    assert preempted.attempt().status is Status.QUEUED, "afresh"


def test_as_long_as_stages_are_finished_it_goes_on(preempted: Preempted) -> None:
    for epoch in range(1, 2 * MAX_IDLE_ATTEMPTS):
        if epoch in (20, 40):
            preempted.finish_stage(epoch)
            assert last_epoch(preempted.store, preempted.job) == epoch
        assert preempted.attempt().status is Status.QUEUED
