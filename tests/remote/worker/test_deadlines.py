"""An attempt that hangs ends, with a word for it and its log; the worker goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import (
    WorkerProcess,
    client_of,
    make_photos,
    submit_fake,
    wait_end,
    wait_for,
)

from insaat_cli.remote.queue.job_state import Status
from insaat_cli.remote.store.folder_store import LocalStore


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("--silence-timeout", "stage two: timed out: no progress for"),
        ("--stage-timeout", "stage two: timed out: not done after"),
        ("--job-timeout", "timed out: the job was not done after"),
    ],
)
def test_a_job_that_hangs_fails_and_is_tried_again(option: str, word: str, tmp_path: Path) -> None:
    client = client_of(LocalStore(tmp_path / "queue"))
    pipeline = write_pipeline(tmp_path, seconds=0.05)
    (tmp_path / "deeds").write_text("two hang")
    job = submit_fake(client, make_photos(tmp_path / "photos"), pipeline).job
    limit = "8" if option == "--job-timeout" else "2"
    worker = WorkerProcess(
        str(tmp_path / "queue"), pipeline, tmp_path / "w", option, limit, lease_s=20.0
    )
    try:
        wait_for(lambda: client.status(job).failures == 1, seconds=60, about="its failure")
        problem = client.status(job).problem
        assert problem is not None and word in problem.message
        assert problem.stage == "two"
        assert "stage two at work" in client.logs(job, 1)
        (tmp_path / "deeds").unlink()
        state = wait_end(client, job, seconds=60)
        assert (state.status, state.failures) == (Status.SUCCEEDED, 1)
    finally:
        worker.close()
