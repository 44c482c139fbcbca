"""A lost reply is not a lost race: what became of a write is read back."""

from __future__ import annotations

import dataclasses
import random

import pytest

from insaat_cli.remote.queue import job_state as transitions
from insaat_cli.remote.queue.job_state import JobState, Progress, Status
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import Held, LostRaceError, Pause, change, create, read
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import ConflictError, UncertainError

JOB = "20260101-000000-aaaaaaaa"


class BadLine(MemoryStore):
    """Plays `script` on its conditional writes: apply and say nothing, refuse, …"""

    def __init__(self) -> None:
        super().__init__()
        self.script: list[str] = []
        self.writes = 0

    def swap(self, key: str, body: bytes, tag: str) -> str:
        self.writes += 1
        step = self.script.pop(0) if self.script else ""
        if step == "refused":
            raise UncertainError("503")
        new = super().swap(key, body, tag)
        if step == "reply lost":
            raise UncertainError("no answer")
        if step == "answered twice":
            raise ConflictError(key)
        return new


@pytest.fixture
def line() -> BadLine:
    return BadLine()


@pytest.fixture
def pause() -> Pause:
    return Pause(lambda seconds: None)


@pytest.fixture
def queued(line: BadLine, pause: Pause) -> Held:
    return create(line, JobState(job=JOB, status=Status.QUEUED, txn="t"), pause)


@pytest.mark.parametrize(
    ("script", "writes"),
    [
        (["reply lost"], 1),
        (["answered twice"], 1),
        (["refused"], 2),
        (["refused", "reply lost"], 2),
    ],
)
def test_the_claim_is_recognised(
    line: BadLine, pause: Pause, queued: Held, script: list[str], writes: int
) -> None:
    line.script = script
    after = transitions.claim(queued.state, owner="w", lease_s=60)
    held = change(line, queued, after, pause)
    assert held.state.owned_by("w", 1)
    assert held == read(line, JOB)
    assert line.writes == writes


def test_own_write_is_found_below_another(line: BadLine, pause: Pause, queued: Held) -> None:
    """The claim was done, its reply lost, and a user cancelled before it was read back."""

    class ThenCancelled(BadLine):
        def swap(self, key: str, body: bytes, tag: str) -> str:
            super().swap(key, body, tag)
            queue = Queue(line, clock=lambda: 0.0, choose=random.Random(1))
            queue.cancel(JOB)
            raise UncertainError("no answer")

    other = ThenCancelled()
    other._objects, other._keys = line._objects, line._keys
    after = transitions.claim(queued.state, owner="w", lease_s=60)
    held = change(other, queued, after, pause)
    assert held.state.owned_by("w", 1) and held.state.cancel


def test_a_lost_race_says_what_the_job_is_now(line: BadLine, pause: Pause, queued: Held) -> None:
    change(line, queued, transitions.claim(queued.state, owner="first", lease_s=60), pause)
    with pytest.raises(LostRaceError) as caught:
        change(line, queued, transitions.claim(queued.state, owner="second", lease_s=60), pause)
    assert caught.value.current.state.owner == "first"


def test_a_store_that_never_answers_is_uncertain(line: BadLine, pause: Pause, queued: Held) -> None:
    line.script = ["refused"] * 50
    with pytest.raises(UncertainError):
        change(line, queued, transitions.claim(queued.state, owner="w", lease_s=60), pause)


def test_a_submission_is_not_repeated(line: BadLine, pause: Pause, queued: Held) -> None:
    again = dataclasses.replace(queued.state, txn="other", recent=())
    with pytest.raises(LostRaceError):
        create(line, again, pause)


def test_states_survive_the_store(queued: Held) -> None:
    state = transitions.claim(queued.state, owner="w", lease_s=60)
    state = transitions.renew(
        state, owner="w", epoch=1, progress=Progress(stage="dense", share=0.25, seconds_left=9.5)
    )
    assert JobState.from_bytes(state.to_bytes()) == state
