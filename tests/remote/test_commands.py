"""The commands in a row, as a user gives them, with an S3 server that the settings file names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from insaat_cli.cli.app import run
from insaat_cli.remote.queue.keys import input_key
from insaat_cli.remote.store.folder_store import LocalStore
from insaat_cli.remote.store.s3_store import S3Address, S3Store
from tests.remote.fake_pipeline import write_pipeline
from tests.remote.machines import WorkerProcess, client_of, make_photos


def insaat(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    """The facts that a command prints; it must end well."""
    code = run([*arguments, "--json"])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return [json.loads(line) for line in shown.out.splitlines()]


@pytest.mark.timeout(200)
def test_from_settings_to_the_log(
    capsys: pytest.CaptureFixture[str], s3_address: S3Address, tmp_path: Path
) -> None:
    insaat(capsys, "config", "remote", f"s3://{s3_address.bucket}/{s3_address.prefix}")
    insaat(capsys, "config", "endpoint", str(s3_address.endpoint))
    insaat(capsys, "config", "broker", "redis://:s3cret@127.0.0.1:9/0")
    named = {fact["name"]: fact["value"] for fact in insaat(capsys, "config")}
    assert (
        named["endpoint"] == s3_address.endpoint
        and named["broker"] == "redis://127.0.0.1:9/0, queue insaat"
    )
    insaat(capsys, "config", "broker", "")

    pipeline = write_pipeline(tmp_path, seconds=0.1)
    photos = make_photos(tmp_path / "photos", side=800)
    allow = ("--pipeline", "fake", "--allow-pipeline", str(pipeline))
    (told,) = [
        fact
        for fact in insaat(capsys, "submit", str(photos), "--resize", "400", *allow)
        if fact["event"] == "submitted"
    ]
    job = str(told["job"])
    spec = client_of(S3Store(s3_address)).spec(job)
    assert spec.sizes == ((400, 400),) * 3
    sent = tmp_path / "sent.jpg"
    S3Store(s3_address).download(input_key(spec.photos[0].sha256), sent)
    with Image.open(sent) as image:
        assert image.size == (400, 400)

    remote = f"s3://{s3_address.bucket}/{s3_address.prefix}"
    worker = WorkerProcess(
        remote, pipeline, tmp_path / "w", "--idle-exit", "1.5",
        endpoint=s3_address.endpoint, lease_s=20.0,
    )  # fmt: skip
    try:
        followed = insaat(capsys, "status", job, "--follow")
        assert [fact["status"] for fact in followed][-1] == "SUCCEEDED"
        assert worker.end() == 0, "it was idle for long enough"
    finally:
        worker.close()
    assert run(["logs", job]) == 0
    assert "stage three at work" in capsys.readouterr().out
    assert [fact["job"] for fact in insaat(capsys, "jobs")] == [job]
    fetched = insaat(capsys, "fetch", job, "-o", str(tmp_path / "out"))
    assert {Path(str(fact["path"])).name for fact in fetched} >= {"three.bin", "run.json"}


@pytest.mark.parametrize(("deed", "code"), [("", 0), ("three exit", 5)])
def test_to_wait_for_a_job_is_to_share_its_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, deed: str, code: int
) -> None:
    remote = str(tmp_path / "queue")
    pipeline = write_pipeline(tmp_path, seconds=0.1)
    (tmp_path / "deeds").write_text(deed)
    worker = WorkerProcess(remote, pipeline, tmp_path / "w", "--idle-exit", "20", lease_s=20.0)
    photos = str(make_photos(tmp_path / "photos"))
    wait = ("submit", photos, "--wait", "--remote", remote)
    try:
        ended = run([*wait, "--pipeline", "fake", "--allow-pipeline", str(pipeline), "--json"])
    finally:
        worker.close()
    shown = capsys.readouterr()
    facts = [json.loads(line) for line in shown.out.splitlines()]
    assert ended == code, shown.err
    assert facts[0]["event"] == "submitted"
    states = [fact["status"] for fact in facts if "status" in fact]
    assert states[-1] == ("FAILED" if code else "SUCCEEDED")
    if not code:  # else it is queued again between its attempts, and may be seen so
        assert states == sorted(states, key=["QUEUED", "RUNNING", states[-1]].index)


@pytest.mark.parametrize("strict", [False, True])
def test_to_wait_strictly_is_to_hear_of_photos_that_were_never_sent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, *, strict: bool
) -> None:
    remote = str(tmp_path / "queue")
    pipeline = write_pipeline(tmp_path, seconds=0.1)
    photos = make_photos(tmp_path / "photos")
    (photos / "cut.jpg").write_bytes(b"")
    worker = WorkerProcess(remote, pipeline, tmp_path / "w", "--idle-exit", "20", lease_s=20.0)
    submit = ("submit", str(photos), "--remote", remote, "--pipeline", "fake")
    flags = ("--allow-pipeline", str(pipeline), *["--strict"] * strict)
    try:
        assert run([*submit, *flags]) == (2 if strict else 0), "there is nothing to be strict about"
        capsys.readouterr()
        ended = run([*submit, *flags, "--wait", "--json"])
    finally:
        worker.close()
    shown = capsys.readouterr()
    facts = [json.loads(line) for line in shown.out.splitlines()]
    assert ended == (7 if strict else 0), shown.err
    (told,) = [fact for fact in facts if fact["event"] == "shortfall"]
    assert told["complete"] is False
    assert told["left_out"] == ["cut.jpg (empty file)"]


def test_the_doctor_tries_a_queue(
    capsys: pytest.CaptureFixture[str], s3_address: S3Address, tmp_path: Path
) -> None:
    s3 = ("--remote", f"s3://{s3_address.bucket}/{s3_address.prefix}")
    for queue in ((*s3, "--endpoint", str(s3_address.endpoint)), ("--remote", str(tmp_path / "q"))):
        (tried,) = [fact for fact in insaat(capsys, "doctor", *queue) if fact["name"] == "queue"]
        assert tried["health"] == "good"
        assert "conditional writes work" in str(tried["found"])
    assert list(S3Store(s3_address).list("")) == [], "what it wrote is gone"
    assert run(["doctor", *s3, "--endpoint", "http://127.0.0.1:9"]) == 8
    assert "network" in capsys.readouterr().err


def test_the_doctor_refuses_a_store_that_ignores_conditions(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(store: LocalStore, key: str, body: bytes) -> str:
        store.put(key, body)
        blob = store.get(key)
        assert blob is not None
        return blob.tag

    monkeypatch.setattr(LocalStore, "put_if_absent", forgetful)
    assert run(["doctor", "--remote", str(tmp_path / "queue")]) == 8
    assert "If-None-Match" in capsys.readouterr().err
