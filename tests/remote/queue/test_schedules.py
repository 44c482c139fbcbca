"""Thousands of schedules of workers, clients and a misbehaving network; no violation in any.

What runs are the real `Worker`, `JobRun`, `Lease` and `Queue`, on a virtual clock: see
`tests/remote/story.py` for what is promised, and `tests/faults_remote/test_mutants.py` for whether
a broken promise would be noticed.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.remote.simulation import Network
from tests.remote.story import play

from insaat_cli.remote.queue import refusals, state_writes

BAD = Network(refused=0.03, reply_lost=0.05, late=0.05, duplicated=0.05, killed=0.01, frozen=0.005)
chance = st.sampled_from([0.0, 0.02, 0.1])
networks = st.builds(
    Network,
    refused=chance,
    reply_lost=chance,
    late=chance,
    duplicated=chance,
    killed=st.sampled_from([0.0, 0.005, 0.02]),
    frozen=st.sampled_from([0.0, 0.005, 0.02]),
)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that jobs that fit nobody end within a story."""
    monkeypatch.setattr(refusals, "MAX_RETURNED", 2)
    monkeypatch.setattr(refusals, "MAX_DECLINED", 2)
    monkeypatch.setattr(refusals, "MAX_DECLINED_BY_ALL", 3)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), network=networks, workers=st.integers(1, 4))
def test_every_schedule_keeps_the_promises(seed: int, network: Network, workers: int) -> None:
    play(seed, network, workers)


@pytest.mark.long
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), network=networks, workers=st.integers(1, 4))
def test_thousands_of_schedules(seed: int, network: Network, workers: int) -> None:
    play(seed, network, workers)


@pytest.mark.parametrize("seed", range(4))
def test_lost_replies_alone_cost_nobody_a_job(seed: int) -> None:
    play(seed, Network(reply_lost=0.2, duplicated=0.1, conditional_only=True), 3, gentle=True)


def test_clocks_that_are_an_hour_wrong_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day is written for people to read; no decision looks at it."""

    def outcome(hours: list[int]) -> list[list[tuple[object, ...]]]:
        clock = random.Random(3)

        def now() -> str:
            off = timedelta(hours=clock.choice(hours))
            return (datetime(2026, 1, 1, tzinfo=UTC) + off).isoformat()

        monkeypatch.setattr(state_writes, "now_text", now)
        worlds = [play(seed, BAD, 3) for seed in range(2)]
        return [
            [(s.status, s.epoch, world.raw.names.get(s.owner)) for s in history]
            for world in worlds
            for history in world.raw.states.values()
        ]

    assert outcome([0]) == outcome([-1, 0, 1])


@pytest.mark.long
def test_the_worlds_are_lively() -> None:
    """The schedules above would prove nothing if nothing ever happened in them."""
    seen: set[str] = set()
    for seed in range(25):
        world = play(seed, BAD, 3)
        seen |= {word for line in world.trace for word in ("KILLED", "FROZEN", "late delivery")
                 if word in line}  # fmt: skip
        for history in world.raw.states.values():
            last = history[-1]
            seen.add(last.status.value)
            seen |= {
                name
                for state in history
                for name in ("failures", "losses", "releases")
                if getattr(state, name)
            }
            seen |= {"epochs"} if last.epoch > 2 else set()
            seen |= {"retried"} if any(state.status.ended for state in history[:-1]) else set()
            seen |= {"no worker"} if "no worker can" in str(last.problem) else set()
    assert seen >= {
        "no worker", "SUCCEEDED", "FAILED", "CANCELLED", "failures", "losses", "releases",
        "epochs", "retried", "KILLED", "FROZEN", "late delivery",
    }  # fmt: skip
