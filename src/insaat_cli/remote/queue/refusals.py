"""Refusals record which machines could not run a job and why, and end a job that none can run.

    jobs/JOB/refusals/MACHINE.json

A fault of a machine never counts as an attempt, so without a bound a job that fits nobody would
wait, or wander, for ever. Each machine writes its own object, which nobody else writes, and the
state knows nothing of them: workers of earlier versions go on as they did. Counts are only read
together with the life of the job in which they were made, so a retry begins anew.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from insaat_cli.errors import Fault
from insaat_cli.formatting import counted
from insaat_cli.remote.queue.job_state import (
    MAX_COUNT,
    MAX_NAME,
    MAX_STATE_BYTES,
    JobState,
    Problem,
    read_problem,
)
from insaat_cli.remote.queue.keys import refusal_key, refusal_prefix
from insaat_cli.remote.queue.state_writes import read
from insaat_cli.remote.store.json_body import Fields, read_json
from insaat_cli.remote.store.protocol import Store, TooLargeError

MAX_RETURNED = 6
"""Attempts, of all machines together, that a fault of the machine ended."""
MAX_DECLINED = 24
"""Looks of one machine at a job that it cannot run: most of a day, see `readiness.py`."""
MAX_DECLINED_BY_ALL = 8 * MAX_DECLINED
"""Where machines come and go, none may live long enough to look so often."""
MAX_BYTES = 1 << 50
MAX_READ = 100
"""Machines whose refusals are read."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What one machine had against one job. `life` is that of the job, see `JobState.life`."""

    machine: str
    life: int
    declined: int = 0
    """Looks at the job in the queue, where it was left."""
    returned: int = 0
    """Attempts that were begun and given back."""
    too_little_bytes: int = 0
    """The most memory that an attempt had here which ran out of it."""
    problem: Problem
    """The latest."""

    def to_bytes(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> Refusal | None:
        """None for what is no refusal: then it was never counted, and no harm is done."""
        try:
            fields = Fields(read_json(body))
            return cls(
                machine=fields.text("machine", most=MAX_NAME),
                life=fields.whole("life", least=-MAX_COUNT, most=MAX_COUNT),
                declined=fields.whole("declined", most=MAX_COUNT),
                returned=fields.whole("returned", most=MAX_COUNT),
                too_little_bytes=fields.whole("too_little_bytes", most=MAX_BYTES),
                problem=read_problem(Fields(fields.take("problem"))),
            )
        except ValueError:
            return None


def machine_name() -> str:
    """The same for all workers of this machine, and fit to be part of a key."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:60].strip(".")
    return name or "machine"


def read_refusals(store: Store, state: JobState) -> list[Refusal]:
    """Those of the present life of the job."""
    found = []
    for entry in itertools.islice(store.list(refusal_prefix(state.job)), MAX_READ):
        try:
            blob = store.get(entry.key, limit=MAX_STATE_BYTES)
        except TooLargeError:
            continue
        refusal = None if blob is None else Refusal.from_bytes(blob.body)
        if refusal is not None and refusal.life == state.life:
            found.append(refusal)
    return found


def too_little_bytes(store: Store, job: str, *, but: str = "") -> int:
    """With how much memory a waiting job was tried and ran out of it, on any machine `but` one;
    0 if it did not."""
    held = read(store, job)
    if held is None:
        return 0
    found = [one for one in read_refusals(store, held.state) if one.machine != but]
    return max((one.too_little_bytes for one in found), default=0)


def refuse(
    store: Store,
    state: JobState,
    problem: Problem,
    *,
    machine: str,
    begun: bool,
    granted_bytes: int = 0,
) -> list[Refusal]:
    """Write down that `machine` could not run the job; all refusals of its present life.

    `begun`: the job was claimed, with `granted_bytes` of memory, and is given back; else it is left
    in the queue."""
    others = read_refusals(store, state)
    own = next((one for one in others if one.machine == machine), None)
    own = own or Refusal(machine=machine, life=state.life, problem=problem)
    own = dataclasses.replace(
        own,
        declined=own.declined + (not begun),
        returned=own.returned + begun,
        too_little_bytes=max(
            own.too_little_bytes, granted_bytes if problem.fault is Fault.MEMORY else 0
        ),
        problem=problem,
    )
    store.put(refusal_key(state.job, machine), own.to_bytes())
    return [own, *(one for one in others if one.machine != machine)]


def nobody_can(job: str, refusals: Sequence[Refusal]) -> Problem | None:
    """What ends `job`, or None while there is hope. The first of `refusals` is the latest."""
    declined = [refusal.declined for refusal in refusals]
    returned = sum(refusal.returned for refusal in refusals)
    if (
        returned < MAX_RETURNED
        and max(declined, default=0) < MAX_DECLINED
        and sum(declined) < MAX_DECLINED_BY_ALL
    ):
        return None
    latest = refusals[0].problem
    tried = f", started and returned {counted(returned, 'time')}" if returned else ""
    refused = f"refused by {counted(len(refusals), 'machine')}{tried}"
    onwards = f"once a worker can run it: insaat retry {job}"
    return dataclasses.replace(
        latest,
        message=f"no worker can run this job: {latest.message} ({refused})",
        hint="\n".join(filter(None, [latest.hint, onwards])),
    )
