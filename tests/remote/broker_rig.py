"""A store, a broker and workers, for tests of what a broker does and does not do."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from insaat_cli.remote.broker.address import BrokerAddress
from insaat_cli.remote.broker.broker import Broker
from insaat_cli.remote.client.client import Client
from insaat_cli.remote.client.submit import SubmitOptions, submit
from insaat_cli.remote.queue.job_spec import allowed_pipelines
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.folder_store import LocalStore
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import WorkerProcess, make_photos, wait_for

NEVER = "1000"


@dataclass
class Rig:
    """A store, a broker, and workers that would not look on their own while it is connected."""

    url: str
    folder: Path
    store: LocalStore
    client: Client
    pipeline: Path
    workers: list[WorkerProcess] = field(default_factory=list)

    @classmethod
    def at(cls, url: str, folder: Path, *, seconds: float = 0.3) -> Rig:
        store = LocalStore(folder / "queue")
        broker = Broker(address=BrokerAddress.parse(url))
        client = Client(store, Queue(store, clock=time.monotonic), broker)
        make_photos(folder / "photos")
        return cls(url, folder, store, client, write_pipeline(folder, seconds=seconds))

    def hire(
        self, *options: str, sweep: str = NEVER, lease_s: float = 20.0, number: int | None = None
    ) -> WorkerProcess:
        number = len(self.workers) if number is None else number
        worker = WorkerProcess(
            str(self.folder / "queue"), self.pipeline, self.folder / f"w{number}",
            "--sweep", sweep, "--metrics-port", "0", *options,
            lease_s=lease_s, environment={**os.environ, "INSAAT_BROKER": self.url},
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def connected(self, worker: WorkerProcess) -> None:
        wait_for(
            lambda: "\ninsaat_worker_broker_connected 1\n" in page(worker, "metrics"),
            seconds=120,
            about="a worker that is connected",
        )

    def submit(self, *, announce: bool = True) -> str:
        wanted = SubmitOptions(sources=(self.folder / "photos",), pipeline="fake")
        allowed = allowed_pipelines({"fake": str(self.pipeline)})
        if announce:
            return submit(self.client.queue, wanted, allowed=allowed, ring=self.client.ring).job
        return submit(self.client.queue, wanted, allowed=allowed).job

    def waiting(self) -> int:
        assert self.client.broker is not None
        link = self.client.broker.link()
        try:
            return link.waiting()
        finally:
            link.close()

    def quiet(self) -> None:
        wait_for(lambda: self.waiting() == 0, seconds=15, about="an empty queue of messages")

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


def page(worker: WorkerProcess, name: str) -> str:
    """What a worker says at /`name`; "" as long as it does not listen."""
    found = re.search(r"status at (http://\S+)/metrics", worker.log.read_text())
    if not found:
        return ""
    with urllib.request.urlopen(f"{found[1]}/{name}", timeout=10) as reply:
        return str(reply.read().decode())
