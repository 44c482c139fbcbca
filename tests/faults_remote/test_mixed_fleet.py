"""Workers of the version before and of this one share a queue: a fleet is never changed at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import Status
from insaat_cli.remote.queue.keys import result_key
from insaat_cli.remote.store.folder_store import LocalStore
from tests.availability import missing
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import client_of, wait_for

BEFORE = "c3beb33"
"""The last commit whose workers refuse a state with a field that they do not know."""
ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("mixed_worker.py")
JOBS = 200
KILLS = 6


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the package of each version lies."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        missing("the history of this repository")
    folder = tmp_path_factory.mktemp("before")
    archive = folder / "before.tar"
    command = ["git", "-C", str(ROOT), "archive", "-o", str(archive), BEFORE, "src", "pipelines"]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        missing(f"commit {BEFORE} in the history of this repository")
    shutil.unpack_archive(archive, folder)
    return {"before": folder / "src", "now": ROOT / "src"}


def start(source: Path, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(source)}
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-P", str(DRIVER), *arguments], env=environment, stdout=out, stderr=out
        )


@pytest.mark.long
def test_two_versions_work_on_one_queue_and_lose_nothing(
    sources: dict[str, Path], tmp_path: Path
) -> None:
    """Two hundred jobs, half submitted by each; six workers are killed at it, and replaced."""
    where, pipeline = str(tmp_path / "queue"), str(write_pipeline(tmp_path))
    names = [new_job_id() for _ in range(JOBS)]
    for version, some in (("before", names[::2]), ("now", names[1::2])):
        submitting = start(sources[version], tmp_path / "log", "submit", where, pipeline, *some)
        assert submitting.wait(120) == 0, (tmp_path / "log").read_text()
    client = client_of(LocalStore(tmp_path / "queue"))
    workers: dict[subprocess.Popen[bytes], str] = {}

    def hire(version: str) -> None:
        folder = tmp_path / f"w{time.monotonic_ns()}"
        log = tmp_path / f"{version}.log"
        work = start(sources[version], log, "work", where, pipeline, str(folder), version)
        workers[work] = version

    for version in ("before", "now", "before", "now"):
        hire(version)
    try:
        for number in range(KILLS):
            done = (number + 1) * JOBS // (KILLS + 2)
            wait_for(lambda done=done: ended(client) >= done, seconds=200, about=f"{done} jobs")
            victim = next(iter(workers))
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            hire(workers.pop(victim))
        wait_for(lambda: ended(client) == JOBS, seconds=300, about="all jobs")
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    states = client.survey()
    assert not states.unreadable and {state.job for state in states.states} == set(names)
    assert not [s for s in states.states if s.status is not Status.SUCCEEDED and s.failures < 3]
    by = Counter[tuple[str, bool]]()
    for state in states.states:
        if state.status is not Status.SUCCEEDED:
            continue
        manifest = client.manifest(state.job)
        (model,) = [entry for entry in manifest.files if entry.path == "model.glb"]
        blob = client.store.get(result_key(state.job, manifest.epoch, model.sha256))
        assert blob is not None, "nothing of the result is lost"
        by[blob.body.decode(), bool(state.spec_sha256)] += 1
        assert bool(state.spec_sha256) == (state.job in names[1::2]), "kept by either version"
    print(by)
    assert all(by[version, told] for version in ("before", "now") for told in (False, True))


def ended(client: object) -> int:
    return sum(state.status.ended for state in client.jobs())  # type: ignore[attr-defined]
