"""What is a message of ours, and what is not."""

from __future__ import annotations

import json

import pytest

from insaat_cli.remote.broker.messages import LONGEST_BYTES, JobEvent, job_of, text_of
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn

JOB = "20261124-101112-abcdefgh"


def test_a_request_names_its_job_and_nothing_else() -> None:
    job = new_job_id()
    assert job_of(text_of(job)) == job_of(text_of(job).encode()) == job
    assert set(json.loads(text_of(job))) == {"insaat", "job"}


def test_an_event_tells_job_state_attempt_and_times() -> None:
    state = JobState(
        job=JOB, status=Status.FAILED, epoch=3, submitted_at="s", changed_at="c", txn=new_txn()
    )
    event = JobEvent.of(state, started_at="b")
    assert json.loads(event.to_text()) == {
        "insaat": 1,
        "job": JOB,
        "state": "FAILED",
        "attempt": 3,
        "submitted_at": "s",
        "started_at": "b",
        "changed_at": "c",
    }
    assert job_of(event.to_text()) == JOB
    assert len(event.to_text()) < LONGEST_BYTES


@pytest.mark.parametrize(
    "body",
    [
        "", "forged", "{}", "[]", "null", "1", '"x"', "\0", b"\xff\xfe", b"\x80\x04\x95pickle",
        json.dumps({"insaat": 2, "job": JOB}),
        json.dumps({"insaat": 1, "job": "../../etc"}),
        json.dumps({"insaat": 1, "job": [JOB]}),
        json.dumps({"insaat": 1, "job": None}),
        json.dumps({"insaat": 1}),
        json.dumps({"insaat": 1, "job": JOB, "more": "x" * LONGEST_BYTES}),
        "[" * 900,
        "1" * 999,
    ],
)  # fmt: skip
def test_what_is_no_message_of_ours(body: str | bytes) -> None:
    assert job_of(body) is None


@pytest.mark.parametrize(
    "kind", [None, "application/x-python-serialize", "application/x-yaml", "text/plain"]
)
def test_only_json_is_read(kind: str | None) -> None:
    assert job_of(text_of(JOB), kind) is None
