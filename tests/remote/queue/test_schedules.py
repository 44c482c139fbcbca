"""Thousands of schedules of workers, clients and a misbehaving network; no violation in any.

The world checks every state change as it is applied (see simulation.CheckedStore). Here we check
what needs the whole story: every accepted job ends, in bounded time, and no two workers that
follow the rules work on a job at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.remote.simulation import Actor, ActorStore, KilledError, Network, World

from insaat_cli.errors import Fault, JobStateError, StoreError
from insaat_cli.remote.queue import refusals, state_writes
from insaat_cli.remote.queue.job_state import JobState, Problem, Progress, RefusedError, Status
from insaat_cli.remote.queue.keys import Marker, manifest_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.refusals import nobody_can, refuse
from insaat_cli.remote.queue.state_writes import Held, LostRaceError, Pause
from insaat_cli.remote.store.protocol import UncertainError

LEASE_S = 60.0
HEARTBEAT_S = 10.0
SELF_STOP_S = 30.0
POLL_S = 15.0
CHAOS_S = 600.0
CALM_S = 20 * LEASE_S
JOBS = [f"20260101-00000{number}-aaaaaaa{letter}" for number, letter in enumerate("abc")]


@dataclass
class Story:
    world: World
    accepted: set[str] = field(default_factory=set)
    at_work: dict[str, str] = field(default_factory=dict)
    calm: bool = False
    workers: int = 0


def queue_of(story: Story, actor: Actor) -> Queue:
    world = story.world
    return Queue(
        ActorStore(world, actor),
        clock=lambda: world.now,
        pause=Pause(lambda seconds: world.sleep(actor, seconds), world.random.random),
        choose=random.Random(world.random.random()),
    )


def hire(story: Story) -> None:
    story.workers += 1
    name = f"worker-{story.workers}"

    def body(actor: Actor) -> None:
        try:
            work(story, actor, queue_of(story, actor))
        except KilledError:
            story.at_work = {job: who for job, who in story.at_work.items() if who != name}
            if not story.calm:
                hire(story)
            raise

    story.world.spawn(name, body)


def work(story: Story, actor: Actor, queue: Queue) -> None:
    while True:
        try:
            queue.watch(10)
            for marker in queue.candidates():
                if not story.calm and story.world.random.random() < 0.25:
                    decline(queue, marker, actor)
                    continue
                asked = story.world.now
                held = queue.claim(marker, owner=actor.name, lease_s=LEASE_S)
                if held is not None:
                    run(story, actor, queue, held, asked)
                    break
        except StoreError:
            pass
        story.world.sleep(actor, POLL_S)


def run(story: Story, actor: Actor, queue: Queue, held: Held, asked: float) -> None:
    """One attempt: some heartbeats, and one of the ends that an attempt can have."""
    world, job = story.world, held.state.job
    draw = world.random.random()
    stalled = not story.calm and draw < 0.15
    try:
        if not stalled:
            assert job not in story.at_work, f"{job}: {story.at_work.get(job)} and {actor.name}"
            story.at_work[job] = actor.name
        for _ in range(world.random.randrange(6)):
            if stalled:
                world.sleep(actor, world.random.random() * 3 * LEASE_S)
            held, asked = beat(story, actor, queue, held, asked, stalled)
            world.sleep(actor, HEARTBEAT_S)
        # The work is done; publishing late does no harm, for it is refused.
        leave(story, actor, job)
        end(story, actor, queue, held, world.random.random())
    except (RefusedError, UncertainError):
        pass
    finally:
        leave(story, actor, job)


def leave(story: Story, actor: Actor, job: str) -> None:
    if story.at_work.get(job) == actor.name:
        del story.at_work[job]


def beat(
    story: Story, actor: Actor, queue: Queue, held: Held, asked: float, stalled: bool
) -> tuple[Held, float]:
    started = story.world.now
    try:
        held = queue.renew(held, progress=Progress(share=0.5))
        asked = started
    except UncertainError:
        pass
    if held.state.cancel:
        queue.release(held)
        raise RefusedError("cancelled")
    if not stalled and story.world.now - asked > SELF_STOP_S:
        raise RefusedError("self-stop")
    return held, asked


def end(story: Story, actor: Actor, queue: Queue, held: Held, draw: float) -> None:
    state = held.state
    if draw < 0.55 or story.calm:
        body = f"{actor.name} {secrets.token_hex(4)}".encode()
        queue.store.put(manifest_key(state.job, state.epoch), body)
        try:
            queue.succeed(held, manifest_sha256=hashlib.sha256(body).hexdigest())
        except RefusedError:
            queue.release(held)
    elif draw < 0.75:
        queue.fail(held, Problem(fault=Fault.STAGE, message="boom"))
    elif draw < 0.85:
        queue.release(held)
    elif draw < 0.9:
        give_back(queue, held, actor)
    # else: walks away without a word


def give_back(queue: Queue, held: Held, actor: Actor) -> None:
    """A fault of the machine ended the attempt."""
    problem = Problem(fault=Fault.MEMORY, message="too little memory")
    found = refuse(queue.store, held.state, problem, machine=actor.name, begun=True)
    hopeless = nobody_can(held.state.job, found)
    if hopeless is None:
        queue.release(held)
    else:
        queue.give_up(held, hopeless)


def decline(queue: Queue, marker: Marker, actor: Actor) -> None:
    """The job does not fit this worker, which is the last straw for it or not."""
    held = state_writes.read(queue.store, marker.job)
    if held is None or held.state.status is not Status.QUEUED:
        return
    problem = Problem(fault=Fault.MEMORY, message="too little memory")
    found = refuse(queue.store, held.state, problem, machine=actor.name, begun=False)
    hopeless = nobody_can(marker.job, found)
    if hopeless is not None:
        claimed = queue.claim(marker, owner=actor.name, lease_s=LEASE_S)
        if claimed is not None:
            queue.give_up(claimed, hopeless)


def submit(story: Story, job: str) -> None:
    def body(actor: Actor) -> None:
        world = story.world
        world.sleep(actor, world.random.random() * 100)
        try:
            queue_of(story, actor).submit(JobState(job=job, status=Status.QUEUED, txn=job), b"{}")
        except (StoreError, LostRaceError):
            return

    story.world.spawn(f"submit-{job[-1]}", body)


def meddle(story: Story, job: str) -> None:
    """A user who cancels and retries at awkward moments."""

    def body(actor: Actor) -> None:
        world, queue = story.world, queue_of(story, actor)
        for _ in range(world.random.randrange(4)):
            world.sleep(actor, world.random.random() * 200)
            with contextlib.suppress(StoreError, JobStateError):
                world.random.choice([queue.cancel, queue.retry])(job)

    story.world.spawn(f"user-{job[-1]}", body)


def partition(story: Story) -> None:
    def body(actor: Actor) -> None:
        world = story.world
        while not story.calm:
            world.sleep(actor, world.random.random() * 100)
            victim = world.random.choice(world.actors)
            victim.partitioned_until = world.now + world.random.choice([20.0, 50.0, 150.0])

    story.world.spawn("network", body, mortal=False)


def play(seed: int, network: Network, workers: int) -> World:
    world = World(seed, network)
    story = Story(world)
    try:
        for job in JOBS:
            submit(story, job)
            meddle(story, job)
        for _ in range(workers):
            hire(story)
        partition(story)
        world.run_until(lambda: False, deadline=CHAOS_S)
        quiet(story)
        assert world.run_until(lambda: ended(world), deadline=world.now + CALM_S), "a job hangs"
    except BaseException:
        print("\n".join(world.trace[-80:]))
        raise
    finally:
        world.close()
    return world


def quiet(story: Story) -> None:
    """The network heals; one new worker is there; from here on jobs must end in bounded time."""
    story.calm = True
    story.world.network = Network()
    for actor in story.world.actors:
        actor.partitioned_until = 0.0
    hire(story)


def ended(world: World) -> bool:
    return all(history[-1].status.ended for history in world.raw.states.values())


chance = st.sampled_from([0.0, 0.02, 0.1])
networks = st.builds(
    Network,
    refused=chance,
    reply_lost=chance,
    late=chance,
    duplicated=chance,
    killed=st.sampled_from([0.0, 0.005, 0.02]),
)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that jobs that fit nobody end within a story."""
    monkeypatch.setattr(refusals, "MAX_RETURNED", 2)
    monkeypatch.setattr(refusals, "MAX_DECLINED", 2)
    monkeypatch.setattr(refusals, "MAX_DECLINED_BY_ALL", 3)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), network=networks, workers=st.integers(1, 4))
def test_every_schedule_keeps_the_promises(seed: int, network: Network, workers: int) -> None:
    play(seed, network, workers)


@pytest.mark.long
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), network=networks, workers=st.integers(1, 4))
def test_thousands_of_schedules(seed: int, network: Network, workers: int) -> None:
    play(seed, network, workers)


def test_clocks_that_are_an_hour_wrong_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day is written for people to read; no decision looks at it."""
    network = Network(refused=0.03, reply_lost=0.05, late=0.05, duplicated=0.05, killed=0.01)

    def outcome(hours: list[int]) -> list[list[tuple[object, ...]]]:
        clock = random.Random(3)

        def now() -> str:
            off = timedelta(hours=clock.choice(hours))
            return (datetime(2026, 1, 1, tzinfo=UTC) + off).isoformat()

        monkeypatch.setattr(state_writes, "_now", now)
        worlds = [play(seed, network, 3) for seed in range(10)]
        return [
            [(state.status, state.epoch, state.owner) for state in history]
            for world in worlds
            for history in world.raw.states.values()
        ]

    assert outcome([0]) == outcome([-1, 0, 1])


def test_the_worlds_are_lively() -> None:
    """The schedules above would prove nothing if nothing ever happened in them."""
    network = Network(refused=0.03, reply_lost=0.05, late=0.05, duplicated=0.05, killed=0.01)
    seen: set[str] = set()
    for seed in range(25):
        for history in play(seed, network, 3).raw.states.values():
            seen.add(history[-1].status.value)
            last = history[-1]
            seen |= {name for name in ("failures", "losses", "releases") if getattr(last, name)}
            seen |= {"epochs"} if last.epoch > 2 else set()
            seen |= {"retried"} if any(state.status.ended for state in history[:-1]) else set()
            seen |= {"no worker"} if "no worker can" in str(last.problem) else set()
    expected = {
        "no worker",
        "SUCCEEDED",
        "FAILED",
        "CANCELLED",
        "failures",
        "losses",
        "releases",
        "epochs",
    }
    assert seen >= expected | {"retried"}
