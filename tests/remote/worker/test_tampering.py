"""What a submitter who means ill can write: another spec, an older state. Both are found out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import (
    WorkerProcess,
    check_published,
    client_of,
    make_photos,
    submit_fake,
    wait_end,
)

from insaat_cli.errors import StoreError
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.keys import manifest_key, queued_marker, spec_key, state_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import Pause, put_once
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import CorruptError, UncertainError


def test_a_swapped_spec_and_a_state_put_back_are_refused(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "queue")
    client = client_of(store)
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    photos = make_photos(tmp_path / "photos")
    good, swapped = (submit_fake(client, photos, pipeline).job for _ in range(2))
    first = store.get(state_key(good))
    spec = store.get(spec_key(swapped))
    assert first is not None and spec is not None
    other = json.loads(spec.body)
    other["photos"] = other["photos"][:2]
    store.put(spec_key(swapped), json.dumps(other, indent=1).encode())
    with pytest.raises(CorruptError):
        client.spec(swapped)
    worker = WorkerProcess(str(tmp_path / "queue"), pipeline, tmp_path / "w")
    try:
        state = wait_end(client, swapped, seconds=60)
        assert state.status is Status.FAILED and state.problem is not None
        assert "not the one that was submitted" in state.problem.message
        done = wait_end(client, good, seconds=60)
        check_published(client, good, tmp_path / "out")
        manifest = client.manifest(good)
        assert manifest.spec_sha256 == done.spec_sha256 != ""
        assert manifest.photos == client.spec(good).photos
        published = store.get(manifest_key(good, 1))
        store.put(state_key(good), first.body)  # blindly: as if it had never been worked on
        store.put(queued_marker(JobState.from_bytes(first.body)).key, b"")
        again = wait_end(client, good, seconds=60)
        assert again.status is Status.FAILED and again.problem is not None
        assert "its state was replaced" in again.problem.message
        assert store.get(manifest_key(good, 1)) == published, "the result is untouched"
    finally:
        worker.close()


def test_the_state_names_the_spec_and_older_workers_can_read_it() -> None:
    """They refuse a key that they do not know; the hash must also survive their writes."""
    store = MemoryStore()
    job = "20260101-000000-aaaaaaaa"
    queue = Queue(store, clock=lambda: 0.0)
    held = queue.submit(JobState(job=job, status=Status.QUEUED, txn=new_txn()), b"{}")
    assert len(held.state.spec_sha256) == 64
    blob = store.get(state_key(job))
    assert blob is not None and JobState.from_bytes(blob.body) == held.state
    raw = json.loads(blob.body)
    assert "spec_sha256" not in raw and raw["submitted_at"].startswith(held.state.submitted_at)
    raw |= {"status": "RUNNING", "revision": 1, "epoch": 1, "owner": "old"}  # all that they change
    assert JobState.from_bytes(json.dumps(raw).encode()).spec_sha256 == held.state.spec_sha256
    raw["submitted_at"] = raw["submitted_at"][:-1] + ',"newer":[1]}'
    state = JobState.from_bytes(json.dumps(raw).encode())
    assert json.loads(state.to_bytes())["submitted_at"] == raw["submitted_at"]


class LostReplies(MemoryStore):
    def put_if_absent(self, key: str, body: bytes) -> str:
        super().put_if_absent(key, body)
        raise UncertainError("no answer")


def test_a_spec_is_written_once() -> None:
    pause, store = Pause(lambda seconds: None), LostReplies()
    put_once(store, "jobs/x/spec.json", b"one", pause)
    put_once(store, "jobs/x/spec.json", b"one", pause)
    with pytest.raises(StoreError, match="taken"):
        put_once(store, "jobs/x/spec.json", b"two", pause)
    blob = store.get("jobs/x/spec.json")
    assert blob is not None and blob.body == b"one"
