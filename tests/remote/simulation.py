"""A small world with a clock of its own: actors, a store, and a network that misbehaves.

Actors run the real queue code, each in a thread, but only one at a time: every store operation and
every sleep hands the turn back to the world, which draws who goes on, what the network does to the
operation, and how much time passes. A world is decided by its seed alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import (
    MAX_OBJECT_BYTES,
    Blob,
    ConflictError,
    Entry,
    UncertainError,
)

LATENCY_S = 1.0
TURN_SECONDS = 30.0


class KilledError(BaseException):
    """kill -9, at whatever operation the actor was about to do."""


@dataclass
class Network:
    """Chances of each fault, for every single operation."""

    refused: float = 0.0
    reply_lost: float = 0.0
    late: float = 0.0
    duplicated: float = 0.0
    killed: float = 0.0


@dataclass
class Actor:
    name: str
    body: Callable[[Actor], None]
    wakes_at: float = 0.0
    partitioned_until: float = 0.0
    mortal: bool = True
    turn: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    ended: bool = False
    killed: bool = False


class World:
    def __init__(self, seed: int, network: Network) -> None:
        self.random = random.Random(seed)
        self.network = network
        self.now = 0.0
        self.raw = CheckedStore(self)
        self.actors: list[Actor] = []
        self.error: BaseException | None = None
        self.trace: list[str] = []
        self._late: list[tuple[float, Callable[[], Any]]] = []
        self._back = threading.Event()

    def spawn(self, name: str, body: Callable[[Actor], None], *, mortal: bool = True) -> Actor:
        actor = Actor(name, body, wakes_at=self.now, mortal=mortal)
        actor.thread = threading.Thread(target=self._live, args=(actor,), daemon=True)
        self.actors.append(actor)
        actor.thread.start()
        return actor

    def run_until(self, done: Callable[[], bool], *, deadline: float) -> bool:
        """Give turns until `done`, or the clock passes `deadline`, or nobody is left."""
        while not done():
            living = [actor for actor in self.actors if not actor.ended]
            if not living or self.now > deadline:
                return False
            self._deliver_late()
            ready = [actor for actor in living if actor.wakes_at <= self.now]
            if not ready:
                self.now = min(actor.wakes_at for actor in living)
                continue
            self._give_turn(self.random.choice(ready))
            if self.error:
                raise self.error
        return True

    def close(self) -> None:
        for actor in self.actors:
            if not actor.ended:
                actor.killed = True
                self._give_turn(actor)

    def sleep(self, actor: Actor, seconds: float) -> None:
        actor.wakes_at = self.now + seconds
        self._pass_turn(actor)

    def operate(self, actor: Actor, what: str, write: bool, action: Callable[[], Any]) -> Any:
        """One store operation: time passes, others go on, and the network may spoil it."""
        actor.wakes_at = self.now + self.random.random() * LATENCY_S
        self._pass_turn(actor)
        if actor.mortal and self.random.random() < self.network.killed:
            actor.killed = True
            if write and self.random.random() < 0.5:
                self._quietly(action)
            raise KilledError
        fault = self._draw(actor, write)
        self.trace.append(f"{self.now:8.1f} {actor.name:10} {what} {fault}")
        return self._spoil(fault, action)

    def _draw(self, actor: Actor, write: bool) -> str:
        if actor.partitioned_until > self.now:
            return "refused"
        draw, net = self.random.random(), self.network
        chances = [("refused", net.refused)]
        if write:
            chances += [
                ("reply lost", net.reply_lost),
                ("late", net.late),
                ("duplicated", net.duplicated),
            ]
        for fault, chance in chances:
            if draw < chance:
                return fault
            draw -= chance
        return ""

    def _spoil(self, fault: str, action: Callable[[], Any]) -> Any:
        if fault == "refused":
            raise UncertainError("503")
        if fault == "reply lost":
            self._quietly(action)
            raise UncertainError("no answer")
        if fault == "late":
            self._late.append((self.now + self.random.random() * 200, action))
            raise UncertainError("no answer yet")
        if fault == "duplicated":
            if self.random.random() < 0.5:
                self._quietly(action)  # the answer is that of the second
            else:
                self._late.append((self.now + self.random.random() * 200, action))
        return action()

    def _deliver_late(self) -> None:
        due = [item for item in self._late if item[0] <= self.now]
        self._late = [item for item in self._late if item[0] > self.now]
        for _, action in due:
            self.trace.append(f"{self.now:8.1f} late delivery")
            self._quietly(action)

    @staticmethod
    def _quietly(action: Callable[[], Any]) -> None:
        with contextlib.suppress(ConflictError, UncertainError):
            action()

    def _live(self, actor: Actor) -> None:
        actor.turn.wait()
        actor.turn.clear()
        try:
            if not actor.killed:
                actor.body(actor)
        except KilledError:
            pass
        except BaseException as error:
            self.error = error
        finally:
            actor.ended = True
            self._back.set()

    def _give_turn(self, actor: Actor) -> None:
        self._back.clear()
        actor.turn.set()
        assert self._back.wait(TURN_SECONDS), f"{actor.name} does not hand back the turn"

    def _pass_turn(self, actor: Actor) -> None:
        self._back.set()
        actor.turn.wait()
        actor.turn.clear()
        if actor.killed:
            raise KilledError


class CheckedStore(MemoryStore):
    """The objects themselves. Every change of a state is checked as it is applied."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.states: dict[str, list[JobState]] = {}

    def put_if_absent(self, key: str, body: bytes) -> str:
        tag = super().put_if_absent(key, body)
        if key.endswith("/state.json"):
            self.states[key.split("/")[1]] = [JobState.from_bytes(body)]
        return tag

    def swap(self, key: str, body: bytes, tag: str) -> str:
        new = super().swap(key, body, tag)
        if key.endswith("/state.json"):
            self._check(key.split("/")[1], JobState.from_bytes(body))
        return new

    def put(self, key: str, body: bytes) -> None:
        if key.endswith("/state.json"):
            raise AssertionError("a state was written without condition")
        super().put(key, body)

    def _check(self, job: str, after: JobState) -> None:
        history = self.states[job]
        before = history[-1]
        history.append(after)
        try:
            assert after.revision == before.revision + 1, "revisions rise by one"
            assert after.epoch - before.epoch in {0, 1}, "epochs never fall"
            claimed = after.status is Status.RUNNING and before.status is Status.QUEUED
            retried = before.status.ended and after.status is Status.QUEUED
            assert (after.epoch > before.epoch) == (claimed or retried), "an epoch is one claim"
            assert before.status is not Status.SUCCEEDED, "a published job is never changed"
            if after.status is Status.RUNNING:
                assert claimed or before.owner == after.owner, "only a claim changes the owner"
            if after.status is Status.SUCCEEDED:
                self._check_published(before, after)
        except AssertionError as error:
            self._world.error = error

    def _check_published(self, before: JobState, after: JobState) -> None:
        assert before.status is Status.RUNNING and not before.cancel
        assert after.result is not None and after.result.epoch == before.epoch
        manifest = self.get(f"jobs/{after.job}/attempts/{before.epoch:06d}/manifest.json")
        assert manifest is not None, "the manifest is there before the job is published"
        assert hashlib.sha256(manifest.body).hexdigest() == after.result.manifest_sha256
        assert before.owner.encode() in manifest.body, "written by the owner of that epoch"


class ActorStore:
    """The store as one actor sees it: through the network."""

    def __init__(self, world: World, actor: Actor) -> None:
        self._world, self._actor, self._raw = world, actor, world.raw

    def describe(self) -> str:
        return "simulated"

    def get(self, key: str, *, limit: int = MAX_OBJECT_BYTES) -> Blob | None:
        return self._do(f"get {key}", False, lambda: self._raw.get(key, limit=limit))

    def put(self, key: str, body: bytes) -> None:
        self._do(f"put {key}", True, lambda: self._raw.put(key, body))

    def put_if_absent(self, key: str, body: bytes) -> str:
        return self._do(f"create {key}", True, lambda: self._raw.put_if_absent(key, body))

    def swap(self, key: str, body: bytes, tag: str) -> str:
        return self._do(f"swap {key}", True, lambda: self._raw.swap(key, body, tag))

    def list(self, prefix: str, *, limit: int | None = None) -> Iterator[Entry]:
        yield from self._do(
            f"list {prefix}", False, lambda: list(self._raw.list(prefix, limit=limit))
        )

    def folders(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        yield from self._do(
            f"folders {prefix}",
            False,
            lambda: list(self._raw.folders(prefix, after=after, limit=limit)),
        )

    def delete(self, key: str) -> None:
        self._do(f"delete {key}", True, lambda: self._raw.delete(key))

    def size(self, key: str) -> int | None:
        return self._do(f"size {key}", False, lambda: self._raw.size(key))

    def upload(self, key: str, path: Path, progress: Any = None) -> None:
        self._do(f"upload {key}", True, lambda: self._raw.upload(key, path, progress))

    def _do(self, what: str, write: bool, action: Callable[[], Any]) -> Any:
        return self._world.operate(self._actor, what, write, action)
