"""Where things lie in a store, and the markers by which workers find jobs without reading them all.

    inputs/AB/SHA256                      a photo, by the hash of its content
    jobs/JOB/spec.json                    what is asked for; written once
    jobs/JOB/state.json                   the only authority
    jobs/JOB/attempts/EPOCH/…             what one attempt wrote; manifest.json lists it
    jobs/JOB/checkpoints/…                finished stages, by fingerprint
    jobs/JOB/history/EPOCH.json           what became of one attempt
    jobs/JOB/refusals/MACHINE.json        why one machine could not run it, and how often
    queued/PRIORITY-JOB-EPOCH[+TAG…]      "look here for work"
    running/SHARD-JOB-EPOCH               "watch whether its owner still lives"

Markers are hints. Each is written before the state change that it announces, under a name that
holds the epoch of that period, so that a late deletion can only ever hit a marker of the past.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from insaat_cli.remote.queue.job_state import MAX_PRIORITY, JobState, Status

QUEUED = "queued/"
RUNNING = "running/"
JOBS = "jobs/"
_JOB = r"(?P<job>[0-9]{8}-[0-9]{6}-[a-z2-7]{8})-(?P<epoch>[0-9]{6})"
_QUEUED_NAME = re.compile(rf"queued/(?P<rank>[0-9]{{2}})-{_JOB}(?P<tags>(\+[a-z0-9-]+)*)")
_RUNNING_NAME = re.compile(rf"running/[0-9a-f]-{_JOB}")
SHARDS = "0123456789abcdef"
"""First characters below `running/`, so that a large fleet is watched a part at a time."""


@dataclass(frozen=True, kw_only=True)
class Marker:
    """`epoch` is that of the state while it is QUEUED, or while it is RUNNING."""

    key: str
    job: str
    epoch: int
    queued: bool
    rank: int = 0
    tags: tuple[str, ...] = ()

    def is_past(self, state: JobState | None) -> bool:
        """Whether no future state can be the one that this marker announces.

        That is what makes deleting it safe, however late the deletion arrives. QUEUED under epoch
        e comes from a submission, from RUNNING under e, or by a retry from an end under e - 1;
        RUNNING under e only from QUEUED under e - 1."""
        if state is None:
            return False
        if self.queued:
            here = state.status in {Status.QUEUED, Status.RUNNING} and state.epoch == self.epoch
            before = state.status.ended and state.epoch == self.epoch - 1 and not state.removing
        else:
            here = state.status is Status.RUNNING and state.epoch == self.epoch
            before = state.status is Status.QUEUED and state.epoch == self.epoch - 1
        return not (here or before)


def input_key(sha256: str) -> str:
    return f"inputs/{sha256[:2]}/{sha256}"


def job_prefix(job: str) -> str:
    return f"{JOBS}{job}/"


def state_key(job: str) -> str:
    return f"{JOBS}{job}/state.json"


def spec_key(job: str) -> str:
    return f"{JOBS}{job}/spec.json"


def attempts_prefix(job: str) -> str:
    return f"{JOBS}{job}/attempts/"


def attempt_prefix(job: str, epoch: int) -> str:
    return f"{attempts_prefix(job)}{epoch:06d}/"


def manifest_key(job: str, epoch: int) -> str:
    return attempt_prefix(job, epoch) + "manifest.json"


def result_key(job: str, epoch: int, sha256: str) -> str:
    """By hash: the names of files may hold what a key cannot."""
    return f"{attempt_prefix(job, epoch)}files/{sha256}"


def log_key(job: str, epoch: int) -> str:
    return attempt_prefix(job, epoch) + "log.txt"


def checkpoint_prefix(job: str) -> str:
    return f"{JOBS}{job}/checkpoints/"


def refusal_prefix(job: str) -> str:
    return f"{JOBS}{job}/refusals/"


def refusal_key(job: str, machine: str) -> str:
    return f"{refusal_prefix(job)}{machine}.json"


def history_prefix(job: str) -> str:
    return f"{JOBS}{job}/history/"


def history_key(job: str, epoch: int) -> str:
    return f"{history_prefix(job)}{epoch:06d}.json"


def queued_marker(state: JobState) -> Marker:
    """The marker of the period in which `state` (or its next change) is QUEUED."""
    rank = MAX_PRIORITY - state.priority
    tags = "".join(f"+{tag}" for tag in state.tags)
    key = f"{QUEUED}{rank:02d}-{state.job}-{state.epoch:06d}{tags}"
    return Marker(
        key=key, job=state.job, epoch=state.epoch, queued=True, rank=rank, tags=state.tags
    )


def running_marker(job: str, epoch: int) -> Marker:
    shard = hashlib.sha256(job.encode()).hexdigest()[0]
    return Marker(key=f"{RUNNING}{shard}-{job}-{epoch:06d}", job=job, epoch=epoch, queued=False)


def parse_marker(key: str) -> Marker | None:
    """None for what is not a marker of ours."""
    if match := _QUEUED_NAME.fullmatch(key):
        return Marker(
            key=key,
            job=match["job"],
            epoch=int(match["epoch"]),
            queued=True,
            rank=int(match["rank"]),
            tags=tuple(match["tags"].split("+")[1:]),
        )
    if match := _RUNNING_NAME.fullmatch(key):
        return running_marker(match["job"], int(match["epoch"]))
    return None
