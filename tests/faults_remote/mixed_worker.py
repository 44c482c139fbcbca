"""A worker of whichever version is on the path, whose reconstructions take no time.

    python mixed_worker.py submit STORE PIPELINE JOB…
    python mixed_worker.py work STORE PIPELINE FOLDER NAME

Only names that both versions have are used. Everything but the reconstruction is the version's own:
claim, lease, download, upload, publication, cleanup. One attempt in five fails.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from pathlib import Path

from insaat_cli.remote.queue.job_spec import JobSpec
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.keys import input_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.manifest import FileEntry
from insaat_cli.remote.worker import job_run, worker
from insaat_cli.remote.worker.notification import Notifier
from insaat_cli.remote.worker.options import WorkerOptions

PHOTO = b"a photo"


def submit(store: LocalStore, jobs: list[str]) -> None:
    sha256 = hashlib.sha256(PHOTO).hexdigest()
    store.put(input_key(sha256), PHOTO)
    photo = FileEntry(path="a.jpg", size=len(PHOTO), sha256=sha256)
    queue = Queue(store, clock=time.monotonic)
    for job in jobs:
        spec = JobSpec(job=job, pipeline="fake", preset="normal", photos=(photo,))
        queue.submit(JobState(job=job, status=Status.QUEUED, txn=new_txn()), spec.to_bytes())


class Child:
    """A reconstruction of a tenth of a second."""

    name = ""

    def __init__(self, spec: job_run.ChildSpec) -> None:
        request = json.loads(Path(spec.arguments[-1]).read_text())
        self._output = Path(request["output"])
        self.started = time.monotonic()
        seen = hashlib.sha256(self._output.parent.name.encode()).digest()[0]
        self._fails = seen < 256 // 5

    def events(self) -> list[dict[str, object]]:
        if not self._fails or self.exit_code() is None:
            return []
        failed = {"event": "attempt_failed", "fault": "stage", "blame": "job", "stage": "one"}
        return [{**failed, "message": "boom", "hint": ""}]

    def exit_code(self) -> int | None:
        if time.monotonic() - self.started < 0.1:
            return None
        (self._output / "model.glb").write_text(self.name)
        (self._output / "run.json").write_text(json.dumps({"results": ["model.glb"]}))
        return 1 if self._fails else 0

    def stop(self, deadline_s: float) -> None:
        """It ends by itself."""

    def close(self) -> None:
        """Nothing is open."""


def work(store: LocalStore, pipeline: str, folder: Path, name: str) -> None:
    logging.basicConfig(level=logging.INFO)
    Child.name = name
    job_run.ChildProcess = Child  # type: ignore[assignment,misc]
    job_run.LISTEN_S = 0.02
    options = WorkerOptions(
        lease_s=3.0, poll_s=0.2, work_folder=folder, max_memory="500M", threads=1,
        disk_floor_bytes=0, idle_exit_s=8.0,
    )  # fmt: skip
    notifier = Notifier(store=store, mail=None, webhook=None)
    one = worker.Worker(store, options, allowed={"fake": pipeline}, notifier=notifier)
    sys.exit(int(one.run()))


if __name__ == "__main__":
    how, where, pipeline, *rest = sys.argv[1:]
    if how == "submit":
        submit(LocalStore(Path(where)), rest)
    else:
        work(LocalStore(Path(where)), pipeline, Path(rest[0]), rest[1])
