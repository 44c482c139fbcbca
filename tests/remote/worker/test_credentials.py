"""What a stage can find out about the worker that runs it: nothing that opens the store.

A stage of a real worker looks through the environment and memory of all its ancestors, and calls.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.availability import missing
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import WorkerProcess, client_of, make_photos, submit_fake, wait_end
from tests.remote.seaweed import SECRET_KEY, SeaweedServer

from insaat_cli.remote.queue.job_state import Status
from insaat_cli.remote.store.s3_store import S3Address, S3Store

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux keeps them apart")
ORDINARY_USER = ("unshare", "--user")
"""Begins a program that has no rights over others: a user of a namespace of his own."""


def spied(
    address: S3Address, seaweed: SeaweedServer, folder: Path, *options: str, **more: object
) -> dict[str, object]:
    """What a stage of a worker on a real server found; the job went well all the same."""
    pipeline = write_pipeline(folder, seconds=0.05)
    (folder / "deeds").write_text(f"two spy {SECRET_KEY.encode().hex()} {seaweed.port}")
    client = client_of(S3Store(address))
    job = submit_fake(client, make_photos(folder / "photos"), pipeline).job
    remote = f"s3://{address.bucket}/{address.prefix}"
    worker = WorkerProcess(
        remote, pipeline, folder / "w", *options,
        endpoint=seaweed.endpoint, lease_s=20.0, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    try:
        assert wait_end(client, job, seconds=60).status is Status.SUCCEEDED
    finally:
        worker.close()
    found: dict[str, object] = json.loads((folder / "spied").read_text())
    return found


@linux
def test_a_stage_finds_no_secret_and_reaches_nobody(
    s3_address: S3Address, seaweed: SeaweedServer, tmp_path: Path
) -> None:
    """Root sees all memory, but no process shows a secret of its own accord."""
    found = spied(s3_address, seaweed, tmp_path)
    shown = [text for text in found["secrets"] if not text.startswith("mem of")]
    ours = [text for text in shown if f" {os.getpid()}" not in text]  # the tests hold it, too
    assert ours == []
    assert found["calls"] == {"127.0.0.1": "PermissionError", "::1": "PermissionError"}


@linux
def test_nor_does_it_in_the_memory_of_the_worker_where_it_is_no_root(
    s3_address: S3Address, seaweed: SeaweedServer, tmp_path: Path
) -> None:
    if (
        shutil.which("unshare") is None
        or subprocess.run([*ORDINARY_USER, "true"], check=False).returncode
    ):
        missing("unshare, or a kernel that gives user namespaces")
    found = spied(s3_address, seaweed, tmp_path, within=ORDINARY_USER)
    assert found["secrets"] == []


BEGIN_AGAIN = """
import os, sys
from pathlib import Path
from insaat_cli.remote.worker.credentials import begin_again_without_credentials, take_credentials

begin_again_without_credentials()
take_credentials()
shown = [Path("/proc/self", name).read_bytes().decode() for name in ("cmdline", "environ")]
print("s3cret" in "".join(shown), os.environ["MY_PASSWORD"], *sys.argv[1:])
"""


@linux
@pytest.mark.parametrize("password", ["s3cret", "s3cret\udcff"], ids=["plain", "no text"])
def test_passwords_in_arguments_and_variables_are_kept_and_not_shown(
    password: str, tmp_path: Path
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(BEGIN_AGAIN)
    words = ["worker", "--broker=amqp://us:s3cret@rabbit/", "--x", "redis://:s3cret@redis:1/0"]
    ran = subprocess.run(
        [sys.executable, str(script), *words],
        env={**os.environ, "MY_PASSWORD": password, "PYTHONIOENCODING": "utf-8:surrogateescape"},
        capture_output=True,
        check=False,
    )
    said = ran.stdout.decode("utf-8", "surrogateescape")
    assert said.split() == ["False", password, *words], ran.stderr


@linux
def test_a_stage_may_call_where_the_operator_says_so(
    s3_address: S3Address, seaweed: SeaweedServer, tmp_path: Path
) -> None:
    found = spied(s3_address, seaweed, tmp_path, "--stage-network")
    assert found["calls"]["127.0.0.1"] == "connected"  # type: ignore[index]
