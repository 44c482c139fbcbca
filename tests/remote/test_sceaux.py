"""The whole way with real photos: submit, two workers, one of them killed, fetch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from insaat_cli.remote.client.submit import SubmitOptions, submit
from insaat_cli.remote.queue.job_spec import allowed_pipelines
from insaat_cli.remote.queue.job_state import Status
from insaat_cli.remote.queue.keys import input_key
from insaat_cli.remote.store.manifest import sha256_of
from insaat_cli.remote.store.s3_store import S3Address, S3Store
from tests.remote.machines import client_of, wait_end, wait_for

SECONDS = 900.0


def start_worker(address: S3Address, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    command = [sys.executable, "-m", "insaat_cli", "worker", "--work-folder", str(folder)]
    command += ["--remote", f"s3://{address.bucket}/{address.prefix}", "--lease", "20"]
    command += ["--poll", "2", "--endpoint", str(address.endpoint), "--max-memory", "2G"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))


@pytest.mark.long
def test_sceaux_survives_the_loss_of_a_worker(
    s3_address: S3Address, shared_data: Path, tmp_path: Path
) -> None:
    client = client_of(S3Store(s3_address))
    options = SubmitOptions(sources=(shared_data / "sceaux",), recursive=True, preset="draft")
    done = submit(client.queue, options, allowed=allowed_pipelines())
    again = submit(client.queue, options, allowed=allowed_pipelines())
    assert done.sent_bytes == done.total_bytes and again.sent_bytes == 0
    assert client.cancel(again.job).status is Status.CANCELLED
    workers = [start_worker(s3_address, tmp_path / name) for name in ("one", "two")]
    try:
        wait_for(
            lambda: client.status(done.job).progress.stage in {"sparse", "undistort", "dense"},
            seconds=SECONDS,
            about="the middle of the work",
        )
        owner = client.status(done.job).owner
        victim = next(worker for worker in workers if f"-{worker.pid}-" in owner)
        victim.send_signal(signal.SIGKILL)
        state = wait_end(client, done.job, seconds=SECONDS)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert (state.status, state.losses, state.epoch) == (Status.SUCCEEDED, 1, 2), state.problem
    fetched = client.fetch(done.job, tmp_path / "out")
    hashes = {entry.path: entry.sha256 for entry in fetched.files}
    assert hashes["model.glb"] == sha256_of(tmp_path / "out" / "model.glb")
    assert {"cameras.json", "run.json", "report.html", "view.html"} <= set(hashes)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert "skipped" in json.dumps(record), "the second worker went on where the first one was"
    assert all(client.store.size(input_key(photo.sha256)) for photo in done.photos.used)
    link = client.share(done.job, seconds=600)
    with urllib.request.urlopen(link.url, timeout=30) as reply:
        page = reply.read()
    assert page == (tmp_path / "out" / "view.html").read_bytes()
