"""A spec can ask for what the pipeline offers, and for nothing else."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import WorkerProcess, client_of, wait_end

from insaat_cli.errors import Fault, InsaatError, StoreError, UsageError
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_spec import JobSpec, allowed_pipelines, check_spec
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.manifest import FileEntry

SPEC = JobSpec(job="j", photos=(), settings=("dense.max_side=800",), preset="draft")


def test_a_good_spec_comes_back_and_is_applied() -> None:
    assert JobSpec.from_bytes(SPEC.to_bytes()) == SPEC
    assert check_spec(SPEC, allowed_pipelines()).stage("dense").params["max_side"] == 800


@pytest.mark.parametrize(
    "change",
    [
        {"pipeline": "../../tmp/evil.yaml"},
        {"pipeline": "/tmp/evil.yaml"},
        {"pipeline": "evil"},
        {"preset": "../x"},
        {"preset": "no-such"},
        {"settings": ("dense.command=rm -rf /",)},
        {"settings": ("dense.run=os",)},
        {"settings": ("dense.max_side=/etc/passwd",)},
        {"settings": ("dense.max_side=--help",)},
        {"settings": ("dense.max_side=-5",)},
        {"settings": ("dense.max_side=99999",)},
        {"settings": ("dense.max_cost=nan",)},
        {"settings": ("dense.stereo=metal",)},
        {"settings": ("nothing.x=1",)},
        {"settings": ("dense.max_side",)},
        {"settings": ("dense.max_side=800",) * 101},
        {"formats": ("exe",)},
        {"photos": (FileEntry(path="a.jpg", size=10**11, sha256="0" * 64),)},
        {"photos": tuple(FileEntry(path=f"{n}", size=1, sha256="0" * 64) for n in range(20_001))},
        {"notify": "me@example.org\nBcc: all@example.org"},
    ],
)
def test_what_is_not_allowed_is_a_usage_error(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        check_spec(dataclasses.replace(SPEC, **change), allowed_pipelines())


@pytest.mark.parametrize(
    "change",
    [
        {"command": ["sh"]},
        {"format": 2},
        {"photos": [{"path": "../x"}]},
        {"settings": "x"},
        {"job": 1},
    ],
)
def test_damaged_specs_are_store_errors(change: dict[str, object]) -> None:
    raw = {**json.loads(SPEC.to_bytes()), **change}
    with pytest.raises(StoreError):
        JobSpec.from_bytes(json.dumps(raw).encode())


def test_hostile_specs_end_failed_and_the_worker_goes_on(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "queue")
    client = client_of(store)
    pipeline = write_pipeline(tmp_path)
    queue = Queue(store, clock=time.monotonic)
    photo = {"path": "../../escaped.jpg", "size": 1, "sha256": "0" * 64}
    base = json.loads(JobSpec(job="", pipeline="fake", photos=()).to_bytes())
    bodies = {
        "garbage": b"\xff\x00",
        "path": json.dumps({**base, "photos": [photo]}).encode(),
        "pipeline": json.dumps({**base, "pipeline": "/bin/sh"}).encode(),
        "range": json.dumps(
            {**base, "pipeline": "embedded", "settings": ["dense.max_side=-5"]}
        ).encode(),
    }
    jobs = {}
    for what, body in bodies.items():
        jobs[what] = new_job_id()
        first = JobState(job=jobs[what], status=Status.QUEUED, txn=new_txn())
        queue.submit(first, body.replace(b'"job": ""', f'"job": "{jobs[what]}"'.encode()))
    worker = WorkerProcess(str(tmp_path / "queue"), pipeline, tmp_path / "w")
    try:
        for what, job in jobs.items():
            state = wait_end(client, job)
            assert (state.status, state.failures) == (Status.FAILED, 1), what
            if what == "range":
                assert state.problem is not None
                assert state.problem.fault is Fault.USAGE
                assert "from 64 to 5000 px" in state.problem.message
        assert worker.process.poll() is None
    finally:
        worker.close()
    assert not list(tmp_path.rglob("escaped.jpg"))


def test_errors_are_insaat_errors() -> None:
    assert issubclass(StoreError, InsaatError) and StoreError.code == 8
