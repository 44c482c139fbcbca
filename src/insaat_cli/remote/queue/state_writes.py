"""One state change in the store, with certainty about what became of it."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from insaat_cli.errors import NoJobError, StoreError
from insaat_cli.remote.queue.job_state import MAX_STATE_BYTES, JobState, UnreadableStateError
from insaat_cli.remote.queue.keys import state_key
from insaat_cli.remote.store.protocol import ConflictError, Store, TooLargeError, UncertainError

TRIES = 5
FIRST_PAUSE_S = 0.2


@dataclass(frozen=True)
class Held:
    """A state as it stands in the store, with the tag that the next change must name."""

    state: JobState
    tag: str


class LostRaceError(Exception):
    """Somebody else changed the job first; `current` is what it is now."""

    def __init__(self, current: Held) -> None:
        super().__init__(current.state.job)
        self.current = current


class Pause:
    """Waiting between tries, longer each time, with jitter."""

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._sleep = sleep
        self._jitter = jitter

    def __call__(self, attempt: int) -> None:
        self._sleep(FIRST_PAUSE_S * 2**attempt * (0.5 + self._jitter()))


def read(store: Store, job: str) -> Held | None:
    """Raises UnreadableStateError for what is no state of `job`."""
    try:
        blob = store.get(state_key(job), limit=MAX_STATE_BYTES)
    except TooLargeError as error:
        raise UnreadableStateError(
            f"the state of job {job} cannot be read: it is too large"
        ) from error
    if blob is None:
        return None
    state = JobState.from_bytes(blob.body)
    if state.job != job:
        raise UnreadableStateError(f"the state of job {job} is that of another job")
    return Held(state, blob.tag)


def change(store: Store, before: Held, after: JobState, pause: Pause) -> Held:
    """Replace `before` by `after`, which a function of `job` made from it.

    A reply can be lost and a write can arrive late, so a refusal is no proof that the write was
    not done: the state is read back, and its txns say whose it is. The same bytes under the same
    condition may be sent again without harm. Raises LostRaceError if another change came first,
    UncertainError if the outcome cannot be known now."""
    after = dataclasses.replace(after, changed_at=now_text())
    return _settle(
        store, before, after, pause, lambda body: store.swap(state_key(after.job), body, before.tag)
    )


def create(store: Store, first: JobState, pause: Pause) -> Held:
    """Put the first state of a job; raises LostRaceError if it has one."""
    now = now_text()
    first = dataclasses.replace(first, submitted_at=first.submitted_at or now, changed_at=now)
    return _settle(
        store, None, first, pause, lambda body: store.put_if_absent(state_key(first.job), body)
    )


def put_once(store: Store, key: str, body: bytes, pause: Pause) -> None:
    """Put what is never changed, under a key that is free; sent again, it does no harm.

    StoreError if something else is there. The condition lets a policy forbid to overwrite."""
    fault = StoreError(f"{key} is taken by something else")
    for attempt in range(TRIES):
        try:
            store.put_if_absent(key, body)
            return
        except ConflictError:
            blob = store.get(key)
            if blob is not None and blob.body == body:
                return
            fault = StoreError(f"{key} is taken by something else")
        except UncertainError as error:
            fault = error
        pause(attempt)
    raise fault


def _settle(
    store: Store,
    before: Held | None,
    after: JobState,
    pause: Pause,
    write: Callable[[bytes], str],
) -> Held:
    body = after.to_bytes()
    fault: StoreError = UncertainError(f"the state of job {after.job} could not be written")
    for attempt in range(TRIES):
        try:
            return Held(after, write(body))
        except ConflictError:
            pass  # by whom, and whether it was ourselves, is read below
        except UncertainError as error:
            fault = error
        try:
            current = read(store, after.job)
        except UncertainError as error:
            fault = error
        else:
            if current is not None and after.txn in (current.state.txn, *current.state.recent):
                return current
            if current is None and before is not None:
                raise NoJobError(f"job {after.job} was deleted")
            if current is not None and (before is None or current.tag != before.tag):
                raise LostRaceError(current)
        pause(attempt)
    raise fault


def now_text() -> str:
    """The time of day, for people; nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
