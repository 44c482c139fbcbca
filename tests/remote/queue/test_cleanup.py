"""Nothing stays of an ended job but its result and its logs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Event

import pytest

from insaat_cli.remote.queue.cleanup import forget_attempts, forget_checkpoints
from insaat_cli.remote.queue.job_state import JobState, Result, Status
from insaat_cli.remote.queue.keys import checkpoint_prefix, log_key, manifest_key, result_key
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import Progress, Store
from insaat_cli.remote.store.s3_multipart import PART_BYTES
from insaat_cli.remote.store.s3_store import S3Address, S3Store
from insaat_cli.remote.worker.checkpoints import CheckpointThread
from insaat_cli.workspace.workspace import MARKER_NAME

JOB = "20260101-000000-aaaaaaaa"
SHA = "0" * 64


@pytest.mark.parametrize("published", [None, 2])
def test_outputs_of_other_attempts_go_and_their_logs_stay(published: int | None) -> None:
    store = MemoryStore()
    for epoch in (1, 2, 3):
        for key in (log_key(JOB, epoch), result_key(JOB, epoch, SHA)):
            store.put(key, b"x")
    store.put(manifest_key(JOB, 2), b"x")
    state = JobState(job=JOB, status=Status.FAILED, epoch=3)
    kept = {log_key(JOB, epoch) for epoch in (1, 2, 3)}
    kept |= {manifest_key(JOB, 2), result_key(JOB, 2, SHA)}  # published once, whatever is said now
    if published:
        result = Result(epoch=published, manifest_sha256=SHA)
        state = JobState(job=JOB, status=Status.SUCCEEDED, epoch=3, result=result)
    forget_attempts(store, state)
    assert {entry.key for entry in store.list("")} == kept


class Slow(MemoryStore):
    """An upload that takes until `go` is set, or until its progress raises."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.go = Event(), Event()

    def upload(self, key: str, path: Path, progress: Progress | None = None) -> None:
        self.began.set()
        assert self.go.wait(20)
        super().upload(key, path, progress)


def test_a_checkpoint_under_way_at_publication_leaves_nothing(tmp_path: Path) -> None:
    store, folder = Slow(), tmp_path / "one"
    folder.mkdir()
    (folder / MARKER_NAME).write_text(f'{{"fingerprint": "{SHA}"}}')
    keeper = CheckpointThread(store, JOB, 1, tmp_path)
    keeper.keep("one", folder)
    assert store.began.wait(20)
    keeper.stop()  # before the results are sent
    store.go.set()
    keeper.join()
    forget_checkpoints(store, JOB)
    assert not list(store.list("")), "and nothing appears afterwards"
    assert not list(tmp_path.glob("*.tar"))


def test_unfinished_uploads_are_aborted(s3_address: S3Address) -> None:
    store = S3Store(s3_address)
    client = store._plain
    mine = f"{s3_address.prefix}/{checkpoint_prefix(JOB)}data/x.tar"
    other = f"{s3_address.prefix}/inputs/aa/{SHA}"
    for key in (mine, other):
        started = client.create_multipart_upload(Bucket=s3_address.bucket, Key=key)
        client.upload_part(
            Bucket=s3_address.bucket, Key=key, UploadId=started["UploadId"], PartNumber=1,
            Body=bytes(PART_BYTES),
        )  # fmt: skip
    forget_checkpoints(store, JOB)
    reply = client.list_multipart_uploads(Bucket=s3_address.bucket, Prefix=s3_address.prefix)
    assert [found["Key"] for found in reply.get("Uploads", [])] == [other]


def test_temporary_files_of_killed_processes_go_after_a_day(tmp_path: Path) -> None:
    store: Store = LocalStore(tmp_path)
    store.put("a", b"x")
    old, fresh, lock = (tmp_path / ".store" / name for name in ("1-aa", "2-bb", "lock"))
    for path in (old, fresh, lock):
        path.write_bytes(b"")
    for path in (old, lock):
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    store.clear_unfinished("jobs/")
    assert sorted(path.name for path in (tmp_path / ".store").iterdir()) == ["2-bb", "lock"]
