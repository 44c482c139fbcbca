"""The life of a job, as pure functions from one state to the next. No store, no clock, no process.

A state is what `state.json` holds. Every change goes through one of the functions below, raises
`revision` by one and carries a random `txn`; a claim raises `epoch`, the fencing number. The
functions refuse (RefusedError) what the current state does not allow, so that whoever lost the job
can do nothing with it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from insaat_cli.errors import Fault, NoJobError, StoreError

FORMAT = 1
REMEMBERED_TXNS = 16
"""A writer finds its own write by its txn even when others have written on top since."""
ID_PATTERN = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z2-7]{8}")
TAG_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
MAX_PRIORITY = 99
LOG_LINE_CHARACTERS = 300
FINAL_FAULTS = {Fault.USAGE, Fault.PHOTOS, Fault.DO_NOT_FIT, Fault.MISSING}
"""Faults that another attempt would meet again."""


class Status(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        return self not in {Status.QUEUED, Status.RUNNING}


class RefusedError(Exception):
    """The state does not allow this change."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the owner says with each heartbeat. Shown, never decided upon."""

    stage: str = ""
    share: float = 0.0
    seconds_left: float | None = None
    line: str = ""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why an attempt failed."""

    fault: Fault
    message: str
    hint: str = ""
    stage: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The published attempt, and the hash of its manifest."""

    epoch: int
    manifest_sha256: str


@dataclass(frozen=True, kw_only=True)
class JobState:
    """The whole truth about a job. Times of the wall clock are for display only."""

    job: str
    status: Status
    revision: int = 0
    epoch: int = 0
    priority: int = 50
    tags: tuple[str, ...] = ()
    tries: int = 3
    """Failures and losses together after which the job is FAILED."""
    owner: str = ""
    lease_s: float = 0.0
    """How long the owner's revision may stand still before others may take the job."""
    heartbeat: int = 0
    progress: Progress = field(default_factory=Progress)
    failures: int = 0
    losses: int = 0
    releases: int = 0
    cancel: bool = False
    removing: bool = False
    problem: Problem | None = None
    result: Result | None = None
    submitted_at: str = ""
    changed_at: str = ""
    txn: str = ""
    recent: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        fields = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(fields, indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> JobState:
        """Raises StoreError if `body` is not a state that this version understands."""
        try:
            raw = json.loads(body)
            if raw.pop("format") != FORMAT:
                raise ValueError("unsupported format")
            return cls(
                **{
                    **raw,
                    "status": Status(raw["status"]),
                    "tags": tuple(raw["tags"]),
                    "recent": tuple(raw["recent"]),
                    "progress": Progress(**raw["progress"]),
                    "problem": _problem(raw["problem"]),
                    "result": None if raw["result"] is None else Result(**raw["result"]),
                }
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"a job's state.json cannot be read: {error}",
                hint="it was written by another version of insaat or is damaged",
            ) from error

    @property
    def life(self) -> int:
        """The epoch under which it last entered the queue by a submission or a retry: since then
        each claim raised the epoch by one, and each end of an attempt one of the counts."""
        ended = self.failures + self.losses + self.releases
        return self.epoch - ended - (self.status is Status.RUNNING)

    def owned_by(self, owner: str, epoch: int) -> bool:
        return self.status is Status.RUNNING and self.owner == owner and self.epoch == epoch


def _problem(raw: Mapping[str, Any] | None) -> Problem | None:
    return None if raw is None else Problem(**{**raw, "fault": Fault(raw["fault"])})


def new_txn() -> str:
    return secrets.token_hex(8)


def check_id(job: str) -> str:
    """`job` itself if it looks like a job id; ids become keys, so nothing else may pass."""
    if not ID_PATTERN.fullmatch(job):
        raise NoJobError(f"job {job!r:.100} not found", hint="list the jobs with insaat jobs")
    return job


def claim(state: JobState, *, owner: str, lease_s: float) -> JobState:
    """QUEUED to RUNNING under a new epoch."""
    _require(state.status is Status.QUEUED and not state.removing, "is not queued")
    return _next(
        state,
        status=Status.RUNNING,
        epoch=state.epoch + 1,
        owner=owner,
        lease_s=lease_s,
        heartbeat=0,
        progress=Progress(),
    )


def renew(state: JobState, *, owner: str, epoch: int, progress: Progress) -> JobState:
    """The owner's heartbeat."""
    _require(state.owned_by(owner, epoch), "belongs to another worker now")
    return _next(state, heartbeat=state.heartbeat + 1, progress=progress)


def succeed(state: JobState, *, owner: str, epoch: int, manifest_sha256: str) -> JobState:
    """Publish: the one change that makes an attempt the job's result."""
    _require(state.owned_by(owner, epoch), "belongs to another worker now")
    _require(not state.cancel, "was cancelled")
    return _next(
        state,
        status=Status.SUCCEEDED,
        result=Result(epoch=epoch, manifest_sha256=manifest_sha256),
        progress=Progress(share=1.0),
        problem=None,
    )


def fail(state: JobState, *, owner: str, epoch: int, problem: Problem) -> JobState:
    """An attempt failed: back to the queue, or FAILED if trying again is useless."""
    _require(state.owned_by(owner, epoch), "belongs to another worker now")
    final = problem.fault in FINAL_FAULTS
    failed = _next(state, failures=state.failures + 1, problem=problem)
    return _give_up_or_queue(failed, final=final)


def release(state: JobState, *, owner: str, epoch: int) -> JobState:
    """The owner gives the job back because it must stop itself; nobody is at fault."""
    _require(state.owned_by(owner, epoch), "belongs to another worker now")
    released = _next(state, releases=state.releases + 1, owner="")
    return dataclasses.replace(released, status=Status.CANCELLED if state.cancel else Status.QUEUED)


def give_up(state: JobState, *, owner: str, epoch: int, problem: Problem) -> JobState:
    """FAILED, because no machine can run the job; its own attempts are not at fault."""
    _require(state.owned_by(owner, epoch), "belongs to another worker now")
    ended = Status.CANCELLED if state.cancel else Status.FAILED
    return _next(state, status=ended, owner="", problem=problem)


def lose(state: JobState, *, epoch: int) -> JobState:
    """The owner sent no heartbeat for its whole lease. Any observer may say so."""
    _require(state.status is Status.RUNNING and state.epoch == epoch, "is no longer running")
    lost = _next(state, losses=state.losses + 1)
    where = state.progress.stage or "the job"
    unresponsive = Problem(
        fault=Fault.STAGE,
        message=f"worker {state.owner} stopped responding during {where}",
        hint="its machine may have been stopped or run out of memory",
        stage=state.progress.stage,
    )
    lost = dataclasses.replace(lost, problem=state.problem or unresponsive)
    return _give_up_or_queue(lost, final=False)


def cancel(state: JobState) -> JobState:
    """CANCELLED at once if nobody runs it; else the owner is asked to stop."""
    _require(not state.status.ended, f"has already ended ({state.status})")
    if state.status is Status.QUEUED:
        return _next(state, status=Status.CANCELLED, cancel=True)
    return _next(state, cancel=True)


def retry(state: JobState) -> JobState:
    """Once more from the queue, with fresh counts. The epoch rises: old markers mean the past."""
    _require(
        state.status in {Status.FAILED, Status.CANCELLED} and not state.removing,
        f"is {state.status}: only failed and cancelled jobs can be retried",
    )
    return _next(
        state,
        status=Status.QUEUED,
        epoch=state.epoch + 1,
        owner="",
        failures=0,
        losses=0,
        releases=0,
        cancel=False,
        problem=None,
        progress=Progress(),
    )


def remove(state: JobState) -> JobState:
    """Mark an ended job as being deleted, so that nobody retries it meanwhile."""
    _require(state.status.ended, f"is {state.status}: cancel it first")
    return _next(state, removing=True)


def abandoned(job: str) -> JobState:
    """The state put in place of a submission that never committed, so that it never will."""
    return JobState(
        job=job,
        status=Status.CANCELLED,
        cancel=True,
        txn=new_txn(),
        problem=Problem(fault=Fault.USAGE, message="the submission was never completed"),
    )


def _give_up_or_queue(state: JobState, *, final: bool) -> JobState:
    if state.cancel:
        return dataclasses.replace(state, status=Status.CANCELLED, owner="")
    if final or state.failures + state.losses >= state.tries:
        return dataclasses.replace(state, status=Status.FAILED, owner="")
    return dataclasses.replace(state, status=Status.QUEUED, owner="")


def _next(state: JobState, **changes: Any) -> JobState:
    recent = (state.txn, *state.recent)[:REMEMBERED_TXNS] if state.txn else state.recent
    return dataclasses.replace(
        state, revision=state.revision + 1, txn=new_txn(), recent=recent, **changes
    )


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise RefusedError(why)
