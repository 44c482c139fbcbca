"""Workers killed, frozen, stopped and cut off; the job ends well, once, within bounded time."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from insaat_cli.remote.client.client import Client
from insaat_cli.remote.queue.job_state import Status
from insaat_cli.remote.queue.refusals import MAX_RETURNED
from insaat_cli.remote.store.folder_store import LocalStore
from tests.remote.fake_pipeline import STAGES, write_pipeline
from tests.remote.machines import (
    LEASE_S,
    POLL_S,
    WorkerProcess,
    alive,
    check_published,
    client_of,
    make_photos,
    starts,
    submit_fake,
    wait_end,
    wait_for,
)

STAGE_S = 1.0
START_S = 25.0
"""For a process to start on a busy machine."""
DELAY_S = 2 * LEASE_S + 4 * POLL_S + 6 * STAGE_S + START_S


class Scene:
    """A queue in a folder, one job in it, and workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pipeline = write_pipeline(folder, seconds=STAGE_S)
        self.client: Client = client_of(LocalStore(folder / "queue"))
        self.job = submit_fake(self.client, make_photos(folder / "photos"), self.pipeline).job
        self.workers: list[WorkerProcess] = []

    def hire(self) -> WorkerProcess:
        name = f"worker{len(self.workers)}"
        worker = WorkerProcess(str(self.folder / "queue"), self.pipeline, self.folder / name)
        self.workers.append(worker)
        return worker

    def until(self, stage: str, *, times: int = 1) -> int:
        """Wait for the start of `stage`; its process id."""
        wait_for(
            lambda: len(starts(self.folder, stage)) >= times,
            seconds=START_S,
            about=f"stage {stage}",
        )
        return starts(self.folder, stage)[-1]

    def submit(self) -> str:
        """Another job like it."""
        return submit_fake(self.client, self.folder / "photos", self.pipeline).job

    def owner(self) -> str:
        return self.client.status(self.job).owner


def kill_all_of(worker: WorkerProcess) -> None:
    """Kill the worker; nothing of what it started may outlive it."""
    children = psutil.Process(worker.process.pid).children(recursive=True)
    assert len(children) >= 4, "two guards, a run, a stage"
    worker.signal(signal.SIGKILL)
    _, left = psutil.wait_procs(children, timeout=3)
    assert left == []


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    for worker in made.workers:
        worker.close()


@pytest.mark.parametrize(
    "stage",
    [pytest.param(name, marks=[] if name == "two" else [pytest.mark.long]) for name in STAGES],
)
def test_a_killed_worker_takes_its_children_along_and_the_next_goes_on(
    scene: Scene, stage: str
) -> None:
    first = scene.hire()
    child = scene.until(stage)
    time.sleep(0.5)  # for the checkpoint of the stage before
    assert alive(child)
    kill_all_of(first)
    assert scene.client.status(scene.job).status is Status.RUNNING, "nobody knows yet"
    scene.hire()
    state = wait_end(scene.client, scene.job, seconds=DELAY_S)
    assert (state.status, state.losses, state.failures) == (Status.SUCCEEDED, 1, 0)
    assert (state.epoch, state.releases) == (2, 0)
    check_published(scene.client, scene.job, scene.folder / "out")
    for before in STAGES[: STAGES.index(stage)]:
        assert len(starts(scene.folder, before)) == 1, "finished stages are not done again"
    assert len(starts(scene.folder, stage)) == 2, "it was in the middle of this one"


def test_a_frozen_worker_that_wakes_up_can_do_no_harm(scene: Scene) -> None:
    first = scene.hire()
    scene.until("two")
    owner = scene.owner()
    first.signal(signal.SIGSTOP)
    second = scene.hire()
    wait_for(lambda: scene.owner() not in {owner, ""}, seconds=DELAY_S, about="takeover")
    first.signal(signal.SIGCONT)
    state = wait_end(scene.client, scene.job, seconds=DELAY_S)
    assert (state.status, state.losses, state.epoch) == (Status.SUCCEEDED, 1, 2)
    check_published(scene.client, scene.job, scene.folder / "out")
    wait_for(lambda: f"{scene.job}: lost" in first.log.read_text(), seconds=10, about="its word")
    second.signal(signal.SIGTERM)
    assert second.end() == 0
    other = scene.submit()
    state = wait_end(scene.client, other, seconds=DELAY_S)
    assert (state.status, state.epoch) == (Status.SUCCEEDED, 1), "it goes on with other work"
    assert f"{other}: claimed" in first.log.read_text()
    assert scene.client.status(scene.job).epoch == 2


def test_sigterm_gives_the_job_back_at_once(scene: Scene) -> None:
    first = scene.hire()
    child = scene.until("two")
    time.sleep(0.5)
    first.signal(signal.SIGTERM)
    started = time.monotonic()
    assert first.end() == 0
    assert time.monotonic() - started < 8
    assert not alive(child)
    state = scene.client.status(scene.job)
    assert (state.status, state.releases, state.losses, state.failures) == (Status.QUEUED, 1, 0, 0)
    scene.hire()
    assert wait_end(scene.client, scene.job, seconds=DELAY_S).status is Status.SUCCEEDED
    assert len(starts(scene.folder, "one")) == 1


@pytest.mark.long
def test_sigterm_then_sigkill(scene: Scene) -> None:
    """The stage does not hear SIGTERM, so that SIGKILL finds the worker waiting for it."""
    (scene.folder / "deeds").write_text("one deaf")
    first = scene.hire()
    scene.until("one")
    time.sleep(0.5)  # until it is deaf
    first.signal(signal.SIGTERM)
    time.sleep(1.0)
    kill_all_of(first)
    (scene.folder / "deeds").unlink()
    scene.hire()
    state = wait_end(scene.client, scene.job, seconds=DELAY_S)
    assert (state.status, state.losses, state.releases) == (Status.SUCCEEDED, 1, 0)
    check_published(scene.client, scene.job, scene.folder / "out")


@pytest.mark.long
def test_sigusr1_finishes_first(scene: Scene) -> None:
    first = scene.hire()
    scene.until("one")
    other = scene.submit()
    first.signal(signal.SIGUSR1)
    assert first.end(DELAY_S) == 0
    state = scene.client.status(scene.job)
    assert (state.status, state.epoch) == (Status.SUCCEEDED, 1)
    check_published(scene.client, scene.job, scene.folder / "out")
    state = scene.client.status(other)
    assert (state.status, state.epoch) == (Status.QUEUED, 0), "and takes nothing more"


def test_cancel_stops_the_stage(scene: Scene) -> None:
    scene.hire()
    child = scene.until("two")
    scene.client.cancel(scene.job)
    state = wait_end(scene.client, scene.job, seconds=10)
    assert state.status is Status.CANCELLED
    wait_for(lambda: not alive(child), seconds=3, about="end of the stage's process")
    assert state.result is None


@pytest.mark.long
@pytest.mark.parametrize("deed", ["exit", "segv"])
def test_poison_ends_failed_with_its_log(scene: Scene, deed: str) -> None:
    (scene.folder / "deeds").write_text(f"two {deed}")
    scene.hire()
    state = wait_end(scene.client, scene.job, seconds=3 * DELAY_S)
    assert state.status is Status.FAILED
    assert (state.failures, state.losses, state.releases, state.epoch) == (3, 0, 0, 3)
    assert state.problem is not None and state.problem.stage == "two"
    assert state.result is None
    for epoch in (1, 2, 3):
        assert "stage two at work" in scene.client.logs(scene.job, epoch)
    assert len(starts(scene.folder, "one")) == 1, "its checkpoint was used"


@pytest.mark.long
def test_a_job_that_is_killed_for_memory_everywhere_ends_failed_with_its_log(scene: Scene) -> None:
    (scene.folder / "deeds").write_text("two oom")
    scene.hire()
    state = wait_end(scene.client, scene.job, seconds=150 + 6 * DELAY_S)
    assert state.status is Status.FAILED and state.problem is not None
    message = state.problem.message
    assert "no worker can run this job" in message and "out of memory" in message
    assert (state.failures, state.losses, state.releases) == (0, 0, MAX_RETURNED - 1)
    assert "stage two at work" in scene.client.logs(scene.job)


@pytest.mark.long
@pytest.mark.parametrize("round_", range(12))
def test_killed_again_and_again(scene: Scene, round_: int) -> None:
    """Whatever the moment: two workers die over the job, the third finishes it."""
    (scene.folder / "deeds").write_text("three hang")
    for epoch in (1, 2):
        worker = scene.hire()
        wait_for(
            lambda epoch=epoch: scene.client.status(scene.job).epoch == epoch,  # type: ignore[misc]
            seconds=DELAY_S,
            about=f"claim {epoch}",
        )
        time.sleep(round_ * 0.3 / epoch)
        state = scene.client.status(scene.job)
        assert (state.status, state.epoch) == (Status.RUNNING, epoch), "it is at work on it"
        children = psutil.Process(worker.process.pid).children(recursive=True)
        worker.signal(signal.SIGKILL)
        assert psutil.wait_procs(children, timeout=3)[1] == []
    (scene.folder / "deeds").unlink()
    scene.hire()
    state = wait_end(scene.client, scene.job, seconds=2 * DELAY_S)
    assert (state.status, state.epoch, state.losses) == (Status.SUCCEEDED, 3, 2)
    assert (state.failures, state.releases) == (0, 0)
    check_published(scene.client, scene.job, scene.folder / "out")
