"""The doctor tries the broker that is configured, and says what it found without its password."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from insaat_cli.cli import doctor
from insaat_cli.cli.app import run

DOWN = "amqp://someone:s3cret@127.0.0.1:9/"


@pytest.fixture(autouse=True)
def only_the_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "examine_machine", lambda folder: [])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("INSAAT_BROKER", raising=False)


def examined(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, str]]:
    code = run(["doctor", "--json", *options])
    shown = capsys.readouterr()
    assert "s3cret" not in shown.out + shown.err
    assert code == 0, shown.err
    return [json.loads(line) for line in shown.out.splitlines()]


def test_no_broker_no_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert examined(capsys) == []


def test_one_that_is_down_is_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine can reconstruct all the same."""
    monkeypatch.setenv("INSAAT_BROKER", DOWN)
    (check,) = examined(capsys)
    assert (check["name"], check["health"]) == ("broker", "warning")
    assert "127.0.0.1:9" in check["found"] and "workers poll" in check["advice"]


def test_one_that_was_asked_for_must_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--broker", DOWN]) == 8
    shown = capsys.readouterr()
    assert "cannot connect to amqp://127.0.0.1:9/" in shown.err and "s3cret" not in shown.err


def test_one_that_answers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from insaat_cli.remote.broker.link import Link

    monkeypatch.setattr(Link, "__init__", lambda self, address, **options: None)
    monkeypatch.setattr(Link, "waiting", lambda self: 3)
    monkeypatch.setattr(Link, "close", lambda self: None)
    (check,) = examined(capsys, "--broker", DOWN)
    assert check["health"] == "good" and "3 messages waiting" in check["found"]


def test_the_log_of_a_bug_holds_no_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def break_down(options: object) -> None:
        raise RuntimeError(f"{DOWN} is odd")

    monkeypatch.setattr(doctor, "open_broker", break_down)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run(["doctor", "--broker", DOWN]) == 1
    assert "s3cret" not in capsys.readouterr().err
    (log,) = tmp_path.glob("insaat-bug-*.log")
    text = log.read_text(encoding="utf-8")
    assert "break_down" in text and "***@127.0.0.1:9" in text and "s3cret" not in text
