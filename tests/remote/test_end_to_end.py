"""From submit to fetch with real worker processes, on a folder and on a real S3 server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from insaat_cli.errors import StoreError
from insaat_cli.remote.queue.job_state import Status
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.probe import PASSED_KEY
from insaat_cli.remote.store.protocol import Store
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


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, str, str | None]:
    """The store, its address, its endpoint."""
    if request.param == "local":
        return LocalStore(tmp_path / "queue"), str(tmp_path / "queue"), None
    address: S3Address = request.getfixturevalue("s3_address")
    return S3Store(address), f"s3://{address.bucket}/{address.prefix}", address.endpoint


@contextmanager
def working(*workers: WorkerProcess) -> Iterator[None]:
    try:
        yield
    finally:
        for worker in workers:
            worker.close()


def test_submit_work_fetch(place: tuple[Store, str, str | None], tmp_path: Path) -> None:
    store, remote, endpoint = place
    client = client_of(store)
    pipeline = write_pipeline(tmp_path)
    photos = make_photos(tmp_path / "photos")
    first = submit_fake(client, photos, pipeline)
    second = submit_fake(client, photos, pipeline)
    assert first.sent_bytes == first.total_bytes > 0
    assert second.sent_bytes == 0
    one = WorkerProcess(remote, pipeline, tmp_path / "w1", endpoint=endpoint)
    two = WorkerProcess(remote, pipeline, tmp_path / "w2", endpoint=endpoint)
    with working(one, two):
        for job in (first.job, second.job):
            state = wait_end(client, job)
            assert state.status is Status.SUCCEEDED, state.problem
            assert (state.failures, state.losses, state.releases, state.epoch) == (0, 0, 0, 1)
            check_published(client, job, tmp_path / job)
        # A worker slow to start may still be probing the store while the other does its work.
        prefixes = ("queued/", "running/", "probe/")
        wait_for(
            lambda: {e.key for prefix in prefixes for e in store.list(prefix)} <= {PASSED_KEY},
            seconds=20,
            about="an empty index",
        )
    assert len(starts(tmp_path, "one")) == 2
    assert "stage three at work" in client.logs(first.job)
    assert client.remove(first.job) > 3
    with pytest.raises(StoreError, match="not found"):
        client.status(first.job)
    assert [state.job for state in client.jobs()] == [second.job]


def insaat(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "insaat_cli", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_commands(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    photos = make_photos(tmp_path / "photos")
    allow = ("--allow-pipeline", str(pipeline))
    done = insaat("submit", str(photos), "--pipeline", "fake", *allow, "--json")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout.splitlines()[-1])["job"]
    assert f"{job}  QUEUED" in insaat("jobs").stdout
    worked = insaat("worker", "--once", *allow, "--poll", "0.2")
    assert worked.returncode == 0, worked.stderr
    status = json.loads(insaat("status", job, "--json").stdout)
    assert status["status"] == "SUCCEEDED"
    fetched = insaat("fetch", job, "-o", str(tmp_path / "out"))
    assert fetched.returncode == 0, fetched.stderr
    assert (tmp_path / "out" / "three.bin").stat().st_size == 5000
    assert insaat("worker", "--once", *allow).returncode == 0, "an empty queue is no error"
    assert insaat("cancel", job).returncode == 10
    assert insaat("rm", job).returncode == 0
    assert insaat("status", job).returncode == 9
    nothing = insaat("status", "../../etc")
    assert nothing.returncode == 9
    assert "Traceback" not in nothing.stderr


def test_a_failing_stage_ends_the_job_with_its_log(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "queue")
    client = client_of(store)
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    (tmp_path / "deeds").write_text("two exit")
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job
    worker = WorkerProcess(str(tmp_path / "queue"), pipeline, tmp_path / "w")
    with working(worker):
        state = wait_end(client, job)
    assert (state.status, state.failures, state.losses) == (Status.FAILED, 3, 0)
    assert state.problem is not None and "two" in state.problem.message
    assert "stage two at work" in client.logs(job)
    assert len(starts(tmp_path, "one")) == 1, "its checkpoint was used"
    (tmp_path / "deeds").unlink()
    client.retry(job)
    worker = WorkerProcess(str(tmp_path / "queue"), pipeline, tmp_path / "w")
    with working(worker):
        assert wait_end(client, job).status is Status.SUCCEEDED
    check_published(client, job, tmp_path / "out")
    assert len(starts(tmp_path, "one")) == 1
