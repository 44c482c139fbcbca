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
from insaat_cli.remote.store.json_body import Fields, read_json

FORMAT = 1
REMEMBERED_TXNS = 16
"""A writer finds its own write by its txn even when others have written on top since."""
ID_PATTERN = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z2-7]{8}")
TAG_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
MAX_PRIORITY = 99
MAX_TAGS = 5
MAX_KEEP_DAYS = 36_500
MAX_TRIES = 10
"""More is not granted, whatever a state says."""
MAX_LEASE_S = 3600.0
"""A job is taken from a silent owner after so long, whatever its owner said."""
MAX_EPOCH = 999_998
"""The next claim still fits the six digits of a marker."""
MAX_COUNT = 2**53
MAX_STATE_BYTES = 256 << 10
MAX_TEXT = 4000
MAX_NAME = 500
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


class UnreadableStateError(StoreError):
    """What stands at the key of a state is none that this version understands."""


class NewerStateError(UnreadableStateError):
    """A newer version wrote the state, and may be at work on the job."""


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

    def __post_init__(self) -> None:
        """Programs may say any number of lines, but a state must stay small."""
        for name in ("message", "hint"):
            object.__setattr__(self, name, getattr(self, name)[:MAX_TEXT])
        object.__setattr__(self, "stage", self.stage[:MAX_NAME])


@dataclass(frozen=True, kw_only=True)
class Result:
    """The published attempt, and the hash of its manifest."""

    epoch: int
    manifest_sha256: str


Extra = Mapping[str, Any]
"""Fields of newer versions, kept as they came."""


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
    spec_sha256: str = ""
    """Of the stored request, so that nobody can swap it; "": an earlier version submitted it."""
    keep_days: int = 0
    """So long after its end a worker deletes the job with its result; 0: nobody does."""
    changed_at: str = ""
    txn: str = ""
    recent: tuple[str, ...] = ()
    extra: Extra = field(default_factory=dict, hash=False)
    """What newer versions say of the job and, below a name of ours, of what it holds."""

    def fields(self) -> dict[str, Any]:
        """As JSON knows it, unknown fields included."""
        own = dataclasses.asdict(self)
        extra = own.pop("extra")
        for name in NESTED:
            if own[name] is not None:
                own[name] |= extra.get(name, {})
        return {**{name: value for name, value in extra.items() if name not in NESTED}, **own}

    def to_bytes(self) -> bytes:
        fields = {"format": FORMAT, **self.fields()}
        later = {name: said for name in LATER if (said := fields.pop(name))}
        later |= fields.pop(RIDER, {})
        if later:
            fields["submitted_at"] += f" {json.dumps(later, separators=(',', ':'))}"
        return json.dumps(fields, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")

    @classmethod
    def from_bytes(cls, body: bytes) -> JobState:
        """Raises UnreadableStateError if `body` is not a state that this version understands.

        Fields that it does not know are kept: versions work side by side while a fleet changes."""
        try:
            if len(body) > MAX_STATE_BYTES:
                raise ValueError(f"it is larger than {MAX_STATE_BYTES} bytes")
            return _state(Fields(read_json(body)))
        except ValueError as error:
            raise UnreadableStateError(
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


NESTED = ("progress", "problem", "result")
LATER = ("spec_sha256", "keep_days")
"""Fields that came after the first fleets, whose workers refuse a state with a field that they do
not know, but keep the text of `submitted_at` as it is: these ride there, as JSON behind the time.
From this version on unknown fields are kept, so that one day they can get down."""
RIDER = "rider"


def _state(fields: Fields) -> JobState:
    """Raises ValueError."""
    version = fields.take("format")
    if type(version) is int and version > FORMAT:
        raise NewerStateError(
            "a newer version of insaat wrote a job's state.json", hint="update insaat"
        )
    if version != FORMAT:
        raise ValueError("unsupported format")

    submitted_at, _, rider = fields.text("submitted_at", most=MAX_TEXT).partition(" {")
    later = Fields(read_json(b"{" + rider.encode()) if rider else {})

    def nested(name: str) -> Fields | None:
        raw = fields.take(name)
        return None if raw is None else Fields(raw)

    progress, problem, result = (nested(name) for name in NESTED)
    if progress is None:
        raise ValueError("progress is missing")
    state = JobState(
        job=fields.text("job", most=MAX_NAME),
        status=Status(fields.text("status", most=MAX_NAME)),
        revision=fields.whole("revision", most=MAX_COUNT),
        epoch=fields.whole("epoch", most=MAX_EPOCH),
        priority=fields.whole("priority", most=MAX_PRIORITY),
        tags=fields.texts("tags", most=MAX_TAGS, each=MAX_NAME),
        tries=fields.whole("tries", most=MAX_COUNT),
        owner=fields.text("owner", most=MAX_NAME),
        lease_s=fields.number("lease_s"),
        heartbeat=fields.whole("heartbeat", most=MAX_COUNT),
        progress=_progress(progress),
        failures=fields.whole("failures", most=MAX_COUNT),
        losses=fields.whole("losses", most=MAX_COUNT),
        releases=fields.whole("releases", most=MAX_COUNT),
        cancel=fields.flag("cancel"),
        removing=fields.flag("removing"),
        problem=None if problem is None else read_problem(problem),
        result=None if result is None else _result(result),
        submitted_at=submitted_at,
        spec_sha256=later.text("spec_sha256", most=64) if later.has("spec_sha256") else "",
        keep_days=later.whole("keep_days", most=MAX_KEEP_DAYS) if later.has("keep_days") else 0,
        changed_at=fields.text("changed_at", most=MAX_NAME),
        txn=fields.text("txn", most=MAX_NAME),
        recent=fields.texts("recent", most=REMEMBERED_TXNS, each=MAX_NAME),
    )
    if not all(TAG_PATTERN.fullmatch(tag) for tag in state.tags):
        raise ValueError("a tag is invalid")
    found = zip(NESTED, (progress, problem, result), strict=True)
    extra = {name: rest for name, one in found if one is not None and (rest := one.rest())}
    if later.rest():
        extra[RIDER] = later.rest()
    return dataclasses.replace(state, extra={**fields.rest(), **extra})


def _progress(fields: Fields) -> Progress:
    return Progress(
        stage=fields.text("stage", most=MAX_NAME),
        share=fields.number("share"),
        seconds_left=fields.number("seconds_left") if fields.has("seconds_left") else None,
        line=fields.text("line", most=MAX_TEXT),
    )


def read_problem(fields: Fields) -> Problem:
    """Raises ValueError."""
    return Problem(
        fault=Fault(fields.text("fault", most=MAX_NAME)),
        message=fields.text("message", most=MAX_STATE_BYTES),
        hint=fields.text("hint", most=MAX_STATE_BYTES),
        stage=fields.text("stage", most=MAX_STATE_BYTES),
    )


def _result(fields: Fields) -> Result:
    return Result(
        epoch=fields.whole("epoch", most=MAX_EPOCH),
        manifest_sha256=fields.text("manifest_sha256", most=MAX_NAME),
    )


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
    if final or state.failures + state.losses >= min(state.tries, MAX_TRIES):
        return dataclasses.replace(state, status=Status.FAILED, owner="")
    return dataclasses.replace(state, status=Status.QUEUED, owner="")


def _next(state: JobState, **changes: Any) -> JobState:
    recent = (state.txn, *state.recent)[:REMEMBERED_TXNS] if state.txn else state.recent
    # What newer versions said of a problem is nothing that they say of the next one.
    extra = {name: value for name, value in state.extra.items() if name not in changes}
    return dataclasses.replace(
        state, revision=state.revision + 1, txn=new_txn(), recent=recent, extra=extra, **changes
    )


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise RefusedError(why)
