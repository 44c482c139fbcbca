"""Workers as real processes, and what to look at from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from insaat_cli.remote.client.client import Client
from insaat_cli.remote.client.submit import SubmitOptions, Submitted, submit
from insaat_cli.remote.queue.job_spec import allowed_pipelines
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.keys import job_prefix
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.manifest import sha256_of
from insaat_cli.remote.store.protocol import Store

LEASE_S = 3.0
POLL_S = 0.3


def make_photos(folder: Path, count: int = 3, *, seed: int = 0, side: int = 400) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(seed)
    for index in range(count):
        pixels = numbers.integers(0, 255, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"IMG_{index}.jpg", quality=60)
    return folder


def client_of(store: Store) -> Client:
    return Client(store, Queue(store, clock=time.monotonic))


def submit_fake(client: Client, photos: Path, pipeline: Path, **options: object) -> Submitted:
    name = pipeline.stem
    wanted = SubmitOptions(sources=(photos,), pipeline=name, **options)  # type: ignore[arg-type]
    return submit(client.queue, wanted, allowed=allowed_pipelines({name: str(pipeline)}))


class WorkerProcess:
    """`insaat worker` on a store, with short times."""

    def __init__(
        self,
        remote: str,
        pipeline: Path,
        folder: Path,
        *options: str,
        endpoint: str | None = None,
        lease_s: float = LEASE_S,
        environment: dict[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        """`within`: a program that starts it, and becomes it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        command = [*within, sys.executable, "-m", "insaat_cli", "worker", "--remote", remote]
        command += ["--lease", str(lease_s), "--poll", str(POLL_S), "--checkpoint-min", "0"]
        command += ["--allow-pipeline", str(pipeline), "--work-folder", str(folder)]
        command += ["--max-memory", "500M", "--threads", "1", "--stop", "2", *options]
        command += ["--endpoint", endpoint] if endpoint else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, timeout: float = 20.0) -> int:
        return self.process.wait(timeout)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


def wait_for(what: Callable[[], bool], *, seconds: float, about: str) -> float:
    """How long it took; fails after `seconds`."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if what():
            return time.monotonic() - started
        time.sleep(0.05)
    raise AssertionError(f"{about}: not within {seconds} s")


def wait_end(client: Client, job: str, *, seconds: float = 40.0) -> JobState:
    wait_for(lambda: client.status(job).status.ended, seconds=seconds, about=f"end of {job}")
    return client.status(job)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def starts(folder: Path, stage: str) -> list[int]:
    """Process ids of every start of `stage`."""
    path = folder / "starts"
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(line.split()[1]) for line in lines if line.split()[0] == stage]


def check_published(client: Client, job: str, folder: Path) -> None:
    """The result is whole, and is that of one attempt."""
    state = client.status(job)
    assert state.status is Status.SUCCEEDED and state.result is not None
    fetched = client.fetch(job, folder)
    for entry in fetched.files:
        assert sha256_of(folder / entry.path) == entry.sha256
    assert (folder / "three.bin").read_bytes() == b"three" * 1000
    assert state.result.epoch == state.epoch
    keys = [entry.key for entry in client.store.list(job_prefix(job))]
    assert any(f"/attempts/{state.epoch:06d}/" in key for key in keys)
