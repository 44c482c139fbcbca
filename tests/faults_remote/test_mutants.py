"""Would a broken promise be noticed? Mutants of the protocol, and the simulation that meets them.

Each mutant is our own source with one thing changed, put in place of the original while stories are
played. It is caught when a story breaks a promise; the original keeps them all in the same stories.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import pytest

from insaat_cli.remote.queue import (
    cleanup,
    job_state,
    lease,
    queue,
    refusals,
    state_writes,
    watch,
)
from insaat_cli.remote.queue.job_state import UnreadableStateError
from insaat_cli.remote.worker import job_run
from tests.remote.simulation import Network
from tests.remote.story import play

STORIES = 300
CHAOS = Network(refused=0.03, reply_lost=0.06, late=0.06, duplicated=0.06, killed=0.01, frozen=0.01)
GENTLE = Network(reply_lost=0.1, duplicated=0.1, conditional_only=True)


@dataclass(frozen=True)
class Mutant:
    """`where` names a function of `module`, or a method as Class.method."""

    name: str
    module: ModuleType
    where: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "a lost reply is taken for a lost race", state_writes, "_settle",
        "after.txn in (current.state.txn, *current.state.recent)", "False",
    ),
    Mutant(
        "yes is said and nothing written", state_writes, "_settle",
        "return Held(after, write(body))", "return Held(after, 'tag')",
    ),
    Mutant(
        "a state is written without condition", state_writes, "change",
        "store.swap(state_key(after.job), body, before.tag)",
        "(store.put(state_key(after.job), body), 'tag')[1]",
    ),
    Mutant(
        "writers do not find their write below others", job_state, "_next",
        "(state.txn, *state.recent)[:REMEMBERED_TXNS]", "()",
    ),
    Mutant(
        "a claim opens no new epoch", job_state, "claim",
        "epoch=state.epoch + 1", "epoch=state.epoch",
    ),
    Mutant(
        "anybody may publish", job_state, "succeed",
        '_require(state.owned_by(owner, epoch), "belongs to another worker now")',
        '_require(state.status is Status.RUNNING, "is not running")',
    ),
    Mutant(
        "a cancelled job may be published", job_state, "succeed",
        '_require(not state.cancel, "was cancelled")', "pass",
    ),
    Mutant(
        "a retry goes on under the old epoch", job_state, "retry",
        "epoch=state.epoch + 1", "epoch=state.epoch",
    ),
    Mutant(
        "losses are not counted", job_state, "lose",
        "losses=state.losses + 1", "losses=state.losses",
    ),
    Mutant(
        "a job is taken before its lease is over", watch, "Watch._look",
        "if now - seen.since < min(state.lease_s, MAX_LEASE_S):", "if now - seen.since < 5.0:",
    ),
    Mutant(
        "an owner that is cut off goes on", lease, "Lease.let_go",
        "self._clock() - self._asked > self.lease_s * SELF_STOP_SHARE", "False",
    ),
    Mutant(
        "the heart does not beat", lease, "Lease._beat",
        "pause = self._beat_once()", "pass",
    ),
    Mutant(
        "markers of the past stay", queue, "Queue.tidy",
        "if marker.is_past(state):", "if False:",
    ),
    Mutant(
        "markers are deleted whatever they announce", queue, "Queue.tidy",
        "if marker.is_past(state):", "if True:",
    ),
    Mutant(
        "a claim is not announced", queue, "Queue.claim",
        'self.store.put(announced.key, b"")', "pass",
    ),
    Mutant(
        "a return to the queue is not announced", queue, "Queue._change",
        'self.store.put(queued_marker(after).key, b"")', "pass",
    ),
    Mutant(
        "published before its manifest is there", job_run, "JobRun._upload_results",
        "self.store.put(manifest_key(job, epoch), manifest.to_bytes())", "pass",
    ),
    Mutant(
        "the cleanup takes the result with it", cleanup, "forget_attempts",
        "if not is_kept and not entry.key.endswith(LOG_NAME):",
        "if not entry.key.endswith(LOG_NAME):",
    ),
)  # fmt: skip


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_RETURNED", 2)
    monkeypatch.setattr(refusals, "MAX_DECLINED", 2)
    monkeypatch.setattr(refusals, "MAX_DECLINED_BY_ALL", 3)


def change(monkeypatch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    """Put the mutant in place of the original, wherever that was imported to."""
    *owners, name = mutant.where.split(".")
    owner = getattr(mutant.module, owners[0]) if owners else mutant.module
    original = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(original))
    assert source.count(mutant.old) >= 1, f"{mutant.where} is not what it was: choose anew"
    made: dict[str, Callable[..., object]] = {}
    code = compile(
        "from __future__ import annotations\n" + source.replace(mutant.old, mutant.new),
        f"<{mutant.name}>",
        "exec",
    )
    exec(code, vars(mutant.module), made)
    monkeypatch.setattr(owner, name, made[name])
    if not owners:
        for module in (state_writes, job_state, queue, watch, job_run):
            if getattr(module, name, None) is original:
                monkeypatch.setattr(module, name, made[name])


def stories_until_caught() -> int | None:
    """How many were needed; None if none broke a promise."""
    for seed in range(STORIES):
        try:
            play(seed, GENTLE, 3, gentle=True)
            play(seed, CHAOS, 3)
        except (AssertionError, UnreadableStateError):
            return seed + 1
    return None


@pytest.mark.long
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch, mutant)
    needed = stories_until_caught()
    assert needed is not None, f"{mutant.name}: {STORIES} stories and no promise broken"
    print(f"{mutant.name}: caught in story {needed}")


@pytest.mark.long
def test_the_original_keeps_every_promise() -> None:
    assert stories_until_caught() is None
