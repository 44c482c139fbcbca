"""The two kinds of messages: "look at this job", and "this job is now …". Both are JSON.

What is to be done with a job is read from its state, and only from there: a message may be lost,
repeated, late or forged, and the worst that it can do is to make somebody look.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from insaat_cli.errors import NoJobError
from insaat_cli.remote.queue.job_state import JobState, Status, check_id

CONTENT_TYPE = "application/json"
LONGEST_BYTES = 1000
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """A job entered a state. Times are of the store's writers, in UTC, and for display."""

    job: str
    state: Status
    attempt: int = 0
    """The epoch: rises by one with each claim."""
    submitted_at: str = ""
    started_at: str = ""
    """When this attempt was claimed; "" where its end was reported by somebody else."""
    changed_at: str = ""

    @classmethod
    def of(cls, state: JobState, *, started_at: str = "") -> JobEvent:
        return cls(
            job=state.job,
            state=state.status,
            attempt=state.epoch,
            submitted_at=state.submitted_at,
            started_at=started_at,
            changed_at=state.changed_at,
        )

    def to_text(self) -> str:
        return json.dumps({"insaat": VERSION, **asdict(self)})


def text_of(job: str) -> str:
    """The message that asks for a look at `job`."""
    return json.dumps({"insaat": VERSION, "job": job})


def job_of(body: str | bytes, content_type: str | None = CONTENT_TYPE) -> str | None:
    """The job that a message of either kind names; None for what is no message of ours."""
    if content_type != CONTENT_TYPE or len(body) > LONGEST_BYTES:
        return None
    try:
        raw: Any = json.loads(body)
        if not isinstance(raw, Mapping) or raw.get("insaat") != VERSION:
            return None
        return check_id(raw["job"])
    except (ValueError, KeyError, TypeError, RecursionError, NoJobError):
        return None
