"""A fetched result replaces what an earlier fetch of the same job brought, and nothing else."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.remote.client.client import Client
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.keys import manifest_key, result_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.manifest import FileEntry, Manifest
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.workspace.ownership import made_by


@pytest.fixture
def client() -> Client:
    store = MemoryStore()
    return Client(store, Queue(store, clock=time.monotonic))


def publish(client: Client, files: dict[str, bytes]) -> str:
    """A job that succeeded with these results."""
    job = new_job_id()
    client.queue.submit(JobState(job=job, status=Status.QUEUED, txn=new_txn()), b"{}")
    held = client.queue.claim(client.queue.candidates()[0], owner="w", lease_s=60)
    assert held is not None
    entries = []
    for name, body in files.items():
        sha256 = hashlib.sha256(body).hexdigest()
        client.store.put(result_key(job, 1, sha256), body)
        entries.append(FileEntry(path=name, size=len(body), sha256=sha256))
    manifest = Manifest(job=job, epoch=1, files=tuple(entries))
    client.store.put(manifest_key(job, 1), manifest.to_bytes())
    client.queue.succeed(held, manifest_sha256=manifest.sha256())
    return job


def test_files_of_others_are_not_replaced(client: Client, tmp_path: Path) -> None:
    job = publish(client, {"model.glb": b"model", "report.html": b"report"})
    (tmp_path / "model.glb").write_text("theirs")
    with pytest.raises(UsageError, match=r"model\.glb, which insaat fetch .* did not") as caught:
        client.fetch(job, tmp_path)
    assert "--overwrite" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["model.glb"]
    client.fetch(job, tmp_path, overwrite=True)
    assert (tmp_path / "model.glb").read_text() == "model"


def test_the_same_job_again_goes_on_and_another_is_refused(client: Client, tmp_path: Path) -> None:
    job = publish(client, {"model.glb": b"model", "cloud.ply": b"cloud"})
    client.fetch(job, tmp_path)
    (tmp_path / "cloud.ply").unlink()
    (tmp_path / "model.glb").write_text("half")
    client.fetch(job, tmp_path)
    assert (tmp_path / "model.glb").read_text() == "model"
    assert (tmp_path / "cloud.ply").exists()
    with pytest.raises(UsageError, match="did not make"):
        client.fetch(publish(client, {"model.glb": b"other"}), tmp_path)
    assert made_by(tmp_path, f"fetch {job}") == {"model.glb", "cloud.ply"}


def test_what_is_there_already_needs_no_permission(client: Client, tmp_path: Path) -> None:
    """Fetched by an earlier version, which left no marker."""
    (tmp_path / "model.glb").write_bytes(b"model")
    client.fetch(publish(client, {"model.glb": b"model", "run.json": b"{}"}), tmp_path)
    assert json.loads((tmp_path / "run.json").read_text()) == {}
