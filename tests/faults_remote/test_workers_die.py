"""Workers killed, frozen, stopped and cut off; the job ends well, once, within bounded time."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

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

    def owner(self) -> str:
        return self.client.status(self.job).owner


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
    first.signal(signal.SIGKILL)
    wait_for(lambda: not alive(child), seconds=3, about="end of the stage's process")
    scene.hire()
    state = wait_end(scene.client, scene.job, seconds=DELAY_S)
    assert (state.status, state.losses, state.failures) == (Status.SUCCEEDED, 1, 0)
    assert state.epoch == 2
    check_published(scene.client, scene.job, scene.folder / "out")
    for before in STAGES[: STAGES.index(stage)]:
        assert len(starts(scene.folder, before)) == 1, "finished stages are not done again"


def test_a_frozen_worker_that_wakes_up_can_do_no_harm(scene: Scene) -> None:
    first = scene.hire()
    scene.until("two")
    owner = scene.owner()
    first.signal(signal.SIGSTOP)
    scene.hire()
    wait_for(lambda: scene.owner() not in {owner, ""}, seconds=DELAY_S, about="takeover")
    first.signal(signal.SIGCONT)
    state = wait_end(scene.client, scene.job, seconds=DELAY_S)
    assert (state.status, state.losses, state.epoch) == (Status.SUCCEEDED, 1, 2)
    check_published(scene.client, scene.job, scene.folder / "out")
    assert first.process.poll() is None, "it goes on with other work"
    wait_for(lambda: f"{scene.job}: lost" in first.log.read_text(), seconds=10, about="its word")


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
    first = scene.hire()
    child = scene.until("one")
    first.signal(signal.SIGTERM)
    time.sleep(1.0)
    first.signal(signal.SIGKILL)
    wait_for(lambda: not alive(child), seconds=3, about="end of the stage's process")
    scene.hire()
    state = wait_end(scene.client, scene.job, seconds=DELAY_S)
    assert state.status is Status.SUCCEEDED
    assert state.losses + state.releases == 1


@pytest.mark.long
def test_sigusr1_finishes_first(scene: Scene) -> None:
    first = scene.hire()
    scene.until("one")
    first.signal(signal.SIGUSR1)
    assert first.end(DELAY_S) == 0
    state = scene.client.status(scene.job)
    assert (state.status, state.epoch) == (Status.SUCCEEDED, 1)


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
    assert state.failures + state.losses == 3
    assert "stage two at work" in scene.client.logs(scene.job)


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
    """Whatever the moment: two workers die, the third finishes."""
    for number in range(2):
        worker = scene.hire()
        time.sleep(2.0 + 0.37 * round_ + number)
        worker.signal(signal.SIGKILL)
    scene.hire()
    state = wait_end(scene.client, scene.job, seconds=2 * DELAY_S)
    assert state.status is Status.SUCCEEDED
    check_published(scene.client, scene.job, scene.folder / "out")
