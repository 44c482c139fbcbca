"""Workers on machines that cannot work: real processes and disks, a pipeline of quick stages."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import (
    LEASE_S,
    WorkerProcess,
    check_published,
    client_of,
    make_photos,
    submit_fake,
    wait_end,
    wait_for,
)

from insaat_cli.errors import UsageError
from insaat_cli.remote.client.client import Client
from insaat_cli.remote.queue.job_spec import allowed_pipelines
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.refusals import Refusal, read_refusals
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.worker.job_run import JobRun
from insaat_cli.remote.worker.notification import Notifier
from insaat_cli.remote.worker.options import WorkerOptions
from insaat_cli.remote.worker.worker import Worker


def readyz(worker: WorkerProcess) -> tuple[int, str]:
    match = re.search(r"status at (\S+)/metrics", worker.log.read_text())
    if match is None:
        return 0, ""
    try:
        with urllib.request.urlopen(f"{match[1]}/readyz", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def worker_here(client: Client, pipelines: list[Path], **options: object) -> Iterator[Worker]:
    """A worker in a thread of this process."""
    allowed = allowed_pipelines({path.stem: str(path) for path in pipelines})
    wanted = WorkerOptions(lease_s=20.0, poll_s=0.1, threads=1, **options)  # type: ignore[arg-type]
    notifier = Notifier(store=client.store, mail=None, webhook=None)
    worker = Worker(client.store, wanted, allowed=allowed, notifier=notifier)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.context.stop_now.set()
        thread.join()


def refusals(client: Client, job: str) -> list[Refusal]:
    return read_refusals(client.store, client.status(job))


def untouched(state: JobState) -> bool:
    return state.status is Status.QUEUED and (state.epoch, state.failures, state.losses) == (
        0,
        0,
        0,
    )


@pytest.mark.parametrize("small_disk", ["2m"], indirect=True)
def test_a_full_scratch_disk_fails_no_job(small_disk: Path, tmp_path: Path) -> None:
    """It took three jobs nine attempts and 0.6 s to be FAILED, and the store was blamed."""
    client = client_of(LocalStore(tmp_path / "queue"))
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    photos = make_photos(tmp_path / "photos", side=1800)
    jobs = [submit_fake(client, photos, pipeline).job for _ in range(3)]
    worker = WorkerProcess(
        str(tmp_path / "queue"), pipeline, tmp_path / "w",
        "--work-folder", str(small_disk), "--metrics-port", "0",
        lease_s=4 * LEASE_S,
    )  # fmt: skip
    try:
        wait_for(lambda: readyz(worker)[0] == 503, seconds=30, about="not ready")
        assert "no space left" in readyz(worker)[1] and "in reserve" in readyz(worker)[1]
        assert "not ready" in worker.log.read_text()
        assert all(untouched(client.status(job)) for job in jobs)
        subprocess.run(["mount", "-o", "remount,size=600m", str(small_disk)], check=True)
        for job in jobs:
            state = wait_end(client, job)
            assert (state.status, state.epoch) == (Status.SUCCEEDED, 1)
        assert readyz(worker) == (200, "ok\n")
    finally:
        worker.close()


@pytest.mark.parametrize("small_disk", ["4m"], indirect=True)
def test_a_disk_that_fills_up_in_a_stage_counts_against_nobody(
    small_disk: Path, tmp_path: Path
) -> None:
    client = client_of(LocalStore(tmp_path / "queue"))
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    (tmp_path / "deeds").write_text("two fill")
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job
    with worker_here(client, [pipeline], work_folder=small_disk, disk_floor_bytes=0) as worker:
        wait_for(lambda: bool(refusals(client, job)), seconds=30, about="a refusal")
        wait_for(lambda: client.status(job).releases == 1, seconds=5, about="its release")
        wait_for(lambda: bool(worker.gate.reason), seconds=5, about="a rest")
        assert "no space left" in worker.gate.reason
        assert client.status(job).failures == 0
        assert "No space left" in client.logs(job)
        (tmp_path / "deeds").unlink()
        state = wait_end(client, job)
    assert (state.status, state.failures, state.losses) == (Status.SUCCEEDED, 0, 0)


def test_a_job_too_large_for_the_worker_is_left_and_the_small_one_done(tmp_path: Path) -> None:
    client = client_of(LocalStore(tmp_path / "queue"))
    photos = make_photos(tmp_path / "photos")
    large = write_pipeline(tmp_path, seconds=0.05, name="large", megabytes=300)
    small = write_pipeline(tmp_path, seconds=0.05, name="small")
    job = submit_fake(client, photos, large).job
    other = submit_fake(client, photos, small).job
    with worker_here(client, [large, small], max_memory="150M") as worker:
        assert wait_end(client, other).status is Status.SUCCEEDED
        wait_for(lambda: bool(refusals(client, job)), seconds=20, about="a refusal")
        (refusal,) = refusals(client, job)
        assert not worker.gate.reason, "it is well"
    assert untouched(client.status(job))
    assert "needs about 300 MB of memory, but a job gets 150 MB" in refusal.problem.message
    with worker_here(client, [large, small], max_memory="500M"):
        assert wait_end(client, job).status is Status.SUCCEEDED


def test_auto_leaves_what_it_predicts_not_to_fit(tmp_path: Path) -> None:
    client = client_of(LocalStore(tmp_path / "queue"))
    pipeline = write_pipeline(tmp_path, seconds=0.05, megabytes=900)
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job
    with worker_here(client, [pipeline], max_memory="500M", concurrency=None):
        wait_for(lambda: bool(refusals(client, job)), seconds=20, about="a refusal")
    assert untouched(client.status(job))
    (refusal,) = refusals(client, job)
    assert "needs about 900 MB of memory, but a job gets 500 MB" in refusal.problem.message


@pytest.mark.parametrize("concurrency", [1, None])
def test_what_ran_out_of_memory_goes_to_a_larger_worker(
    concurrency: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(LocalStore(tmp_path / "queue"))
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    (tmp_path / "deeds").write_text("two oom")
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job

    def on(machine: str, memory: str) -> AbstractContextManager[Worker]:
        monkeypatch.setattr("insaat_cli.remote.worker.worker.machine_name", lambda: machine)
        return worker_here(client, [pipeline], max_memory=memory, concurrency=concurrency)

    with on("middling", "400M"):
        wait_for(lambda: client.status(job).releases == 1, seconds=40, about="its release")
    (tmp_path / "deeds").unlink()
    (refusal,) = refusals(client, job)
    assert refusal.too_little_bytes > 200_000_000
    with on("small", "200M"):
        wait_for(lambda: len(refusals(client, job)) == 2, seconds=20, about="a refusal")
    said = {one.machine: one.problem.message for one in refusals(client, job)}
    assert "ran out of memory with" in said["small"] and "on another machine" in said["small"]
    assert client.status(job).epoch == 1, "it was not begun there"
    with on("large", "900M"):
        state = wait_end(client, job)
    assert (state.status, state.epoch, state.failures) == (Status.SUCCEEDED, 2, 0)


def test_an_error_of_the_worker_itself_counts_against_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was counted as lost, after a whole lease, and three of these ended the job."""
    client = client_of(LocalStore(tmp_path / "queue"))
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job

    def broken(run: JobRun) -> None:
        raise ModuleNotFoundError("No module named 'numpy'")

    with monkeypatch.context() as patched, worker_here(client, [pipeline]):
        patched.setattr(JobRun, "_prepare", broken)
        wait_for(lambda: client.status(job).releases >= 1, seconds=15, about="its release")
        (refusal,) = refusals(client, job)
    assert "ModuleNotFoundError: No module named 'numpy'" in refusal.problem.message
    state = client.status(job)
    assert (state.status, state.failures, state.losses) == (Status.QUEUED, 0, 0)
    with worker_here(client, [pipeline]):
        assert wait_end(client, job).status is Status.SUCCEEDED


def test_a_killed_reconstruction_is_given_back(tmp_path: Path) -> None:
    """As the kernel does it where a container has too little memory."""
    client = client_of(LocalStore(tmp_path / "queue"))
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    (tmp_path / "deeds").write_text("two oom_run")
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job
    with worker_here(client, [pipeline], checkpoint_min_s=0.0):
        wait_for(lambda: client.status(job).releases == 1, seconds=30, about="its release")
        (refusal,) = refusals(client, job)
        assert refusal.returned == 1 and refusal.problem.fault == "memory"
        (tmp_path / "deeds").unlink()
        state = wait_end(client, job)
    assert (state.status, state.failures, state.losses) == (Status.SUCCEEDED, 0, 0)
    check_published(client, job, tmp_path / "out")


def test_what_this_worker_lacks_others_may_have(tmp_path: Path) -> None:
    client = client_of(LocalStore(tmp_path / "queue"))
    photos = make_photos(tmp_path / "photos")
    known = write_pipeline(tmp_path, seconds=0.05, name="known")
    unknown = write_pipeline(tmp_path, seconds=0.05, name="unknown")
    needy = write_pipeline(tmp_path, seconds=0.05, name="needy")
    text = needy.read_text().replace("requires: []", "requires: [{program: nosuchprogram}]")
    needy.write_text(text)
    jobs = [submit_fake(client, photos, pipeline).job for pipeline in (unknown, needy)]
    with worker_here(client, [known, needy]):
        wait_for(lambda: all(refusals(client, job) for job in jobs), seconds=20, about="refusals")
    assert all(untouched(client.status(job)) for job in jobs)
    said = [refusals(client, job)[0].problem.message for job in jobs]
    assert "'unknown' is not allowed" in said[0]
    assert "nosuchprogram is not installed" in said[1]
    with worker_here(client, [unknown]):
        assert wait_end(client, jobs[0]).status is Status.SUCCEEDED


def insaat(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "insaat_cli", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_a_worker_too_small_for_any_job_says_so(tmp_path: Path) -> None:
    client = client_of(LocalStore(tmp_path / "queue"))
    pipeline = write_pipeline(tmp_path, megabytes=20)
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job
    done = insaat("worker", "--remote", str(tmp_path / "queue"), "--once", "--max-memory", "100M")
    assert done.returncode == 6, done.stderr
    assert "not ready" in done.stderr and "the smallest job" in done.stderr
    assert untouched(client.status(job))


def test_a_work_folder_that_is_wrong_from_the_start_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    client = client_of(LocalStore(tmp_path / "queue"))
    options = WorkerOptions(work_folder=tmp_path / "file")
    notifier = Notifier(store=client.store, mail=None, webhook=None)
    worker = Worker(client.store, options, allowed=allowed_pipelines(), notifier=notifier)
    with pytest.raises(UsageError, match="is a file"):
        worker.run()


def test_status_says_why_a_job_waits(tmp_path: Path) -> None:
    client = client_of(LocalStore(tmp_path / "queue"))
    pipeline = write_pipeline(tmp_path, megabytes=900)
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job
    with worker_here(client, [pipeline], max_memory="500M", once=True) as worker:
        wait_for(lambda: worker.code == 6, seconds=20, about="its exit code")
    shown = insaat("status", job, "--remote", str(tmp_path / "queue"))
    assert "cannot run it: " in shown.stdout and "needs about 900 MB" in shown.stdout
