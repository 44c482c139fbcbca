"""The history of a job: what became of each of its attempts, for people.

    jobs/JOB/history/EPOCH.json

The state knows only counts and the latest problem. Whoever ends an attempt, its owner or an
observer who finds the owner silent, writes down how. Best effort: nothing is decided by it, and an
attempt of an earlier version, or of a worker that died after its last write, has none.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import dataclass

from insaat_cli.remote.queue.job_state import (
    MAX_EPOCH,
    MAX_NAME,
    MAX_STATE_BYTES,
    JobState,
    Problem,
    read_problem,
)
from insaat_cli.remote.queue.keys import history_key, history_prefix
from insaat_cli.remote.store.json_body import Fields, read_json
from insaat_cli.remote.store.protocol import Store, TooLargeError

MAX_READ = 1000


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How one attempt went. Times are those of its worker's clock."""

    epoch: int
    owner: str
    machine: str = ""
    began_at: str = ""
    ended_at: str
    end: str
    """succeeded, failed, released, returned, cancelled or lost."""
    stage: str = ""
    """Where it was then."""
    problem: Problem | None = None

    def to_bytes(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False).encode(
            "utf-8", "replace"
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> Attempt | None:
        """None for what is none; fields of newer versions are passed over."""
        try:
            fields = Fields(read_json(body))
            problem = fields.take("problem")
            return cls(
                epoch=fields.whole("epoch", most=MAX_EPOCH),
                problem=None if problem is None else read_problem(Fields(problem)),
                **{
                    name: fields.text(name, most=MAX_NAME)
                    for name in ("owner", "machine", "began_at", "ended_at", "end", "stage")
                },
            )
        except ValueError:
            return None


def write_attempt(store: Store, job: str, attempt: Attempt) -> None:
    """May raise StoreError."""
    store.put(history_key(job, attempt.epoch), attempt.to_bytes())


def write_loss(store: Store, lost: JobState) -> None:
    """`lost`: the state after the loss. May raise StoreError."""
    attempt = Attempt(
        epoch=lost.epoch,
        owner="",
        ended_at=lost.changed_at,
        end="lost",
        stage=lost.progress.stage,
        problem=lost.problem,
    )
    write_attempt(store, lost.job, attempt)


def read_attempts(store: Store, job: str) -> list[Attempt]:
    """In their order; those that nobody wrote down are missing."""
    found = []
    for entry in itertools.islice(store.list(history_prefix(job)), MAX_READ):
        try:
            blob = store.get(entry.key, limit=MAX_STATE_BYTES)
        except TooLargeError:
            continue
        attempt = None if blob is None else Attempt.from_bytes(blob.body)
        if attempt is not None:
            found.append(attempt)
    return sorted(found, key=lambda attempt: attempt.epoch)
