"""Workers whose time of day is wrong by an hour, beside one whose is right: nobody notices."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from insaat_cli.remote.queue.job_state import Status
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.s3_store import S3Address, S3Store
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
from tests.remote.wrong_clock import environment_of

HOUR_S = 3600
LEASE_S = 4.0
START_S = 30.0


class Scene:
    """A queue in a folder, and workers with clocks of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pipeline = write_pipeline(folder, seconds=1.0)
        self.client = client_of(LocalStore(folder / "queue"))
        self.photos = make_photos(folder / "photos")
        self.workers: list[WorkerProcess] = []

    def hire(self, shift_s: int = 0) -> WorkerProcess:
        folder = self.folder / f"worker{len(self.workers)}"
        environment = environment_of(folder / "clock", shift_s) if shift_s else None
        worker = WorkerProcess(
            str(self.folder / "queue"), self.pipeline, folder,
            lease_s=LEASE_S, environment=environment,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def submit(self) -> str:
        return submit_fake(self.client, self.photos, self.pipeline).job

    def until(self, stage: str) -> None:
        wait_for(lambda: bool(starts(self.folder, stage)), seconds=START_S, about=stage)

    def claimed_by(self, worker: WorkerProcess) -> int:
        return worker.log.read_text().count("claimed under epoch")

    def behind_s(self, job: str) -> float:
        """How far the time that the last writer wrote lies behind ours."""
        said = datetime.fromisoformat(self.client.status(job).changed_at)
        return (datetime.now(UTC) - said).total_seconds()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    for worker in made.workers:
        worker.close()


def test_three_clocks_six_jobs_and_nobody_takes_what_is_another_s(scene: Scene) -> None:
    workers = [scene.hire(shift) for shift in (HOUR_S, 0, -HOUR_S)]
    for worker in workers:  # busy machines start slowly, and each should have its share
        wait_for(lambda w=worker: w.log.stat().st_size > 0, seconds=START_S, about="a start")
    jobs = [scene.submit() for _ in range(6)]
    for job in jobs:
        state = wait_end(scene.client, job, seconds=90)
        assert (state.status, state.epoch, state.losses) == (Status.SUCCEEDED, 1, 0)
        check_published(scene.client, job, scene.folder / job)
    assert all(scene.claimed_by(worker) for worker in workers)
    said = {round(scene.behind_s(job) / HOUR_S) for job in jobs}
    assert said == {-1, 0, 1}, "the clocks really were wrong"


@pytest.mark.long
@pytest.mark.parametrize(
    ("first_s", "second_s"), [(HOUR_S, -HOUR_S), (-HOUR_S, HOUR_S), (0, HOUR_S), (-HOUR_S, 0)]
)
def test_a_dead_worker_is_noticed_after_its_lease_by_any_clock(
    scene: Scene, first_s: int, second_s: int
) -> None:
    first = scene.hire(first_s)
    job = scene.submit()
    scene.until("two")
    scene.hire(second_s)
    first.signal(signal.SIGKILL)
    died = time.monotonic()
    wait_for(lambda: scene.client.status(job).losses == 1, seconds=START_S, about="loss")
    assert time.monotonic() - died >= LEASE_S * 0.5, "not before the lease was over"
    state = wait_end(scene.client, job, seconds=START_S)
    assert (state.status, state.epoch, state.losses) == (Status.SUCCEEDED, 2, 1)
    check_published(scene.client, job, scene.folder / "out")


@pytest.mark.long
@pytest.mark.parametrize("shift_s", [HOUR_S, -HOUR_S])
def test_frozen_with_a_wrong_clock_it_can_do_no_harm(scene: Scene, shift_s: int) -> None:
    first = scene.hire(shift_s)
    job = scene.submit()
    scene.until("two")
    first.signal(signal.SIGSTOP)
    scene.hire(-shift_s)
    wait_for(lambda: scene.client.status(job).epoch == 2, seconds=START_S, about="takeover")
    first.signal(signal.SIGCONT)
    state = wait_end(scene.client, job, seconds=START_S)
    assert (state.status, state.epoch, state.losses) == (Status.SUCCEEDED, 2, 1)
    check_published(scene.client, job, scene.folder / "out")


@pytest.mark.long
@pytest.mark.parametrize("shift_s", [HOUR_S, -HOUR_S])
def test_an_s3_server_refuses_signatures_of_another_hour(
    s3_address: S3Address, tmp_path: Path, shift_s: int
) -> None:
    """S3 itself compares clocks: the worker must say so and end, and leave the queue alone."""
    pipeline = write_pipeline(tmp_path)
    client = client_of(S3Store(s3_address))
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job
    worker = WorkerProcess(
        f"s3://{s3_address.bucket}/{s3_address.prefix}", pipeline, tmp_path / "w",
        endpoint=s3_address.endpoint, environment=environment_of(tmp_path / "clock", shift_s),
    )  # fmt: skip
    try:
        assert worker.end(60) == 8, worker.log.read_text()
        said = worker.log.read_text()
        assert "RequestTimeTooSkewed" in said and "clock" in said
        assert client.status(job).revision == 0
    finally:
        worker.close()
