"""Faults of the store, of a job and of the user: exit codes, one clear message, nothing written."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest

from insaat_cli.cli.app import run
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.keys import manifest_key, spec_key, state_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import read
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.s3_store import S3Address
from tests.remote.machines import make_photos

JOB = "20260101-000000-aaaaaaaa"


def insaat(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = run(arguments)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out + shown.err


def test_the_store_cannot_be_used(
    capsys: pytest.CaptureFixture[str],
    s3_address: S3Address,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    remote = f"s3://{s3_address.bucket}/{s3_address.prefix}"
    here = ("--endpoint", str(s3_address.endpoint))
    assert insaat(capsys, "status", JOB, "--remote", remote, *here)[0] == 9
    code, text = insaat(capsys, "jobs", "--remote", "s3://no-such-bucket-here", *here)
    assert code == 8 and "NoSuchBucket" in text
    code, text = insaat(capsys, "jobs", "--remote", remote, "--endpoint", "http://127.0.0.1:9")
    assert code == 8 and "network" in text
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
    photos = str(make_photos(tmp_path / "photos"))
    for command in (["worker", "--once"], ["jobs"], ["submit", photos]):
        code, text = insaat(capsys, *command, "--remote", remote, *here)
        assert code == 8 and "AWS_PROFILE" in text
        assert "a-wrong-secret" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "PHOTOS", "--pipeline", "/bin/sh"],
        ["submit", "PHOTOS", "--pipeline", "nothing"],
        ["submit", "PHOTOS", "--set", "dense.max_side=/etc/passwd"],
        ["submit", "PHOTOS", "--set", "dense.max_side=-5"],
        ["submit", "PHOTOS", "--notify", "a@b\nBcc: c@d"],
        ["submit", "PHOTOS", "--priority", "100"],
        ["submit", "PHOTOS", "--tag", "No Good"],
        ["submit", "PHOTOS", "--resize", "10"],
        ["submit", "PHOTOS", "--remote", "ftp://x"],
        ["submit", "NOWHERE"],
        ["worker", "--concurrency", "many"],
        ["config", "nothing", "x"],
    ],
)
def test_wrong_use(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    photos = make_photos(tmp_path / "photos")
    places = {"PHOTOS": str(photos), "NOWHERE": str(tmp_path / "nowhere")}
    code, text = insaat(capsys, *[places.get(argument, argument) for argument in arguments])
    assert code == 2 and text


@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", "C:\\evil", "a\0b"])
def test_a_manifest_that_leads_out(
    path: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Published as a hostile worker would: hashes right, names wrong."""
    store = LocalStore(tmp_path / "queue")
    queue = Queue(store, clock=time.monotonic)
    job = new_job_id()
    queue.submit(JobState(job=job, status=Status.QUEUED, txn=new_txn()), b"{}")
    held = queue.claim(queue.candidates()[0], owner="w", lease_s=60)
    assert held is not None
    entry = {"path": path, "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    body = json.dumps({"job": job, "epoch": 1, "files": [entry]}).encode()
    store.put(manifest_key(job, 1), body)
    store.put(f"jobs/{job}/attempts/000001/files/{entry['sha256']}", b"x")
    queue.succeed(held, manifest_sha256=hashlib.sha256(body).hexdigest())
    remote = ("--remote", str(tmp_path / "queue"))
    code, text = insaat(capsys, "fetch", job, "-o", str(tmp_path / "a" / "out"), *remote)
    assert code == 8 and "unsafe file name" in text
    assert not list(tmp_path.rglob("*evil*")) and not list(tmp_path.rglob("*.part"))


def test_a_damaged_state_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "queue")
    store.put(state_key(JOB), b"{")
    store.put(spec_key(JOB), b"{")
    code, text = insaat(capsys, "status", JOB, "--remote", str(tmp_path / "queue"))
    assert code == 8 and "state.json" in text
    with pytest.raises(Exception, match=r"state\.json"):
        read(store, JOB)


def test_no_such_job_is_not_a_store_out_of_reach(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A script that polls must know whether to wait for the store or to give up."""
    remote = ("--remote", str(tmp_path / "queue"))
    for command in ("status", "fetch", "cancel", "retry", "logs", "share", "rm"):
        for job in (JOB, "../../etc"):
            code, text = insaat(capsys, command, job, *remote)
            assert (command, code) == (command, 9)
            assert "not found" in text and "insaat jobs" in text
    (tmp_path / "a file").write_text("")
    for command in ("status", "fetch", "cancel", "retry", "logs", "share", "rm"):
        assert insaat(capsys, command, JOB, "--remote", str(tmp_path / "a file"))[0] == 8


def test_a_job_that_is_there_but_cannot_do_that_now(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "queue")
    queue = Queue(store, clock=time.monotonic)
    queue.submit(JobState(job=JOB, status=Status.QUEUED, txn=new_txn()), b"{}")
    remote = ("--remote", str(tmp_path / "queue"))

    def said(*command: str) -> str:
        code, text = insaat(capsys, *command, *remote)
        assert (command, code) == (command, 10)
        return text

    assert "no result" in said("fetch", JOB, "-o", str(tmp_path / "out"))
    assert "has no log" in said("logs", JOB)
    assert f"attempt 3 of job {JOB} has no log" in said("logs", JOB, "--attempt", "3")
    assert "is QUEUED" in said("retry", JOB)
    assert "cancel it first" in said("rm", JOB)
    assert insaat(capsys, "cancel", JOB, *remote)[0] == 0
    assert "has already ended" in said("cancel", JOB)
    assert "CANCELLED" in said("status", JOB, "--follow")
    assert insaat(capsys, "rm", JOB, *remote)[0] == 0
    assert insaat(capsys, "status", JOB, *remote)[0] == 9
