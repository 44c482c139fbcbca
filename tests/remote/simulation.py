"""A small world with a clock of its own: processes, a store, and a network that misbehaves.

Processes run the real code, each with as many threads as it likes, but only one thread of all runs
at a time: every store operation, every sleep and every wait hands the turn back to the world, which
draws who goes on, what the network does to the operation, and how much time passes.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insaat_cli.remote.queue.job_state import FINAL_FAULTS, MAX_TRIES, JobState, Status
from insaat_cli.remote.queue.keys import (
    manifest_key,
    parse_marker,
    queued_marker,
    result_key,
    running_marker,
)
from insaat_cli.remote.store.manifest import Manifest
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import (
    MAX_OBJECT_BYTES,
    Blob,
    ConflictError,
    Entry,
    Facts,
    UncertainError,
)

LATENCY_S = 1.0
REPEATS = 3
TURN_SECONDS = 60.0
STACK_BYTES = 512 << 10


class KilledError(BaseException):
    """kill -9, at whatever operation the process was about to do."""


@dataclass
class Network:
    """Chances of each fault, for every single operation."""

    refused: float = 0.0
    reply_lost: float = 0.0
    late: float = 0.0
    duplicated: float = 0.0
    killed: float = 0.0
    conditional_only: bool = False
    """Other operations are repeated by the client, and go well in the end."""
    frozen: float = 0.0
    """The whole process stops for up to three leases (SIGSTOP), then goes on."""


@dataclass
class Process:
    """What is killed, frozen and cut off as one."""

    name: str
    mortal: bool = True
    killed: bool = False
    frozen_until: float = 0.0
    partitioned_until: float = 0.0


@dataclass
class Actor:
    """One thread of a process."""

    process: Process
    body: Callable[[], None]
    wakes_at: float = 0.0
    turn: threading.Event = field(default_factory=threading.Event)
    ended: bool = False

    @property
    def due_at(self) -> float:
        if self.process.killed:
            return 0.0
        return max(self.wakes_at, self.process.frozen_until)


class World:
    def __init__(self, seed: int, network: Network) -> None:
        self.random = random.Random(seed)
        self.network = network
        self.now = 0.0
        self.longest_freeze_s = 180.0
        self.raw = CheckedStore(self)
        self.actors: list[Actor] = []
        self.error: BaseException | None = None
        self.is_closed = False
        self.trace: list[str] = []
        self.on_stopped: Callable[[Process], None] = lambda process: None
        """A process was killed or frozen."""
        self._of_thread: dict[int, Actor] = {}
        self._late: list[tuple[float, Callable[[], Any]]] = []
        self._back = threading.Event()
        threading.stack_size(STACK_BYTES)

    # Threads ---------------------------------------------------------------------------------

    def spawn(self, process: Process, body: Callable[[], None]) -> Actor:
        actor = Actor(process, body, wakes_at=self.now)
        self.actors.append(actor)
        threading.Thread(target=self._live, args=(actor,), daemon=True).start()
        return actor

    def current(self) -> Actor:
        return self._of_thread[threading.get_ident()]

    def run_until(self, done: Callable[[], bool], *, deadline: float) -> bool:
        """Give turns until `done`, or the clock passes `deadline`, or nobody is left."""
        while not done():
            self.actors = [actor for actor in self.actors if not actor.ended]
            if not self.actors or self.now > deadline:
                return False
            self._deliver_late()
            ready = [actor for actor in self.actors if actor.due_at <= self.now]
            if not ready:
                self.now = min(actor.due_at for actor in self.actors)
                continue
            self._give_turn(self.random.choice(ready))
            if self.error:
                raise self.error
        return True

    def close(self) -> None:
        self.is_closed = True
        for actor in self.actors:
            actor.process.killed = True
        while self.actors:
            for actor in list(self.actors):
                if not actor.ended:
                    self._give_turn(actor)
            self.actors = [actor for actor in self.actors if not actor.ended]

    def fail(self, error: BaseException) -> None:
        self.error = self.error or error

    def sleep(self, seconds: float) -> None:
        actor = self.current()
        actor.wakes_at = self.now + max(seconds, 0.0)
        self._pass_turn(actor)

    def kill(self, process: Process) -> None:
        process.killed = True
        self.trace.append(f"{self.now:8.1f} {process.name:10} KILLED")
        self.on_stopped(process)

    def freeze(self, process: Process) -> None:
        process.frozen_until = self.now + self.random.random() * self.longest_freeze_s
        self.trace.append(
            f"{self.now:8.1f} {process.name:10} FROZEN until {process.frozen_until:.0f}"
        )
        self.on_stopped(process)

    # Store operations ------------------------------------------------------------------------

    def operate(
        self, what: str, write: bool, action: Callable[[], Any], *, conditional: bool = False
    ) -> Any:
        """One store operation: time passes, others go on, and the network may spoil it."""
        actor = self.current()
        process = actor.process
        if process.killed:
            raise KilledError
        actor.wakes_at = self.now + self.random.random() * LATENCY_S
        self._pass_turn(actor)
        if process.mortal and self.random.random() < self.network.killed:
            self.kill(process)
            if write and self.random.random() < 0.5:
                self._quietly(action)
            raise KilledError
        if process.mortal and self.random.random() < self.network.frozen:
            self.freeze(process)
            self._pass_turn(actor)
        spoils = conditional or not self.network.conditional_only
        fault = self._draw(process, write) if spoils else ""
        self.trace.append(f"{self.now:8.1f} {process.name:10} {what} {fault}")
        return self._spoil(fault, action)

    def _draw(self, process: Process, write: bool) -> str:
        if process.partitioned_until > self.now:
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
        self._of_thread[threading.get_ident()] = actor
        actor.turn.wait()
        actor.turn.clear()
        try:
            if not actor.process.killed:
                actor.body()
        except KilledError:
            pass
        except BaseException as error:
            self.fail(error)
        finally:
            actor.ended = True
            self._back.set()

    def _give_turn(self, actor: Actor) -> None:
        self._back.clear()
        actor.turn.set()
        assert self._back.wait(TURN_SECONDS), f"{actor.process.name} does not hand back the turn"

    def _pass_turn(self, actor: Actor) -> None:
        self._back.set()
        actor.turn.wait()
        actor.turn.clear()
        if actor.process.killed:
            raise KilledError

    def await_call(self) -> None:
        """Until somebody sets `wakes_at` of the current thread."""
        actor = self.current()
        actor.wakes_at = math.inf
        self._pass_turn(actor)


class CheckedStore(MemoryStore):
    """The objects themselves. Every change is checked as it is applied."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.states: dict[str, list[JobState]] = {}
        self._changed_at: dict[str, float] = {}
        self.names: dict[str, str] = {}
        """Of processes, by those under which their workers own jobs."""

    def put_if_absent(self, key: str, body: bytes) -> str:
        tag = super().put_if_absent(key, body)
        if key.endswith("/state.json"):
            first = JobState.from_bytes(body)
            self.states[key.split("/")[1]] = [first]
            with self._checked():
                assert first.status.ended or self._announced(first), "no marker announces it"
        return tag

    def swap(self, key: str, body: bytes, tag: str) -> str:
        new = super().swap(key, body, tag)
        if key.endswith("/state.json"):
            with self._checked():
                self._check(key.split("/")[1], JobState.from_bytes(body))
        return new

    def put(self, key: str, body: bytes) -> None:
        if key.endswith("/state.json"):
            self._world.fail(AssertionError("a state was written without condition"))
        super().put(key, body)

    def delete(self, key: str) -> None:
        marker = parse_marker(key)
        history = self.states.get(marker.job) if marker else None
        if marker and history:
            with self._checked():
                assert marker.is_past(history[-1]), f"{key} is still needed: {history[-1]}"
        super().delete(key)

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            self._world.fail(error)

    def _announced(self, state: JobState) -> bool:
        queued = state.status is Status.QUEUED
        marker = queued_marker(state) if queued else running_marker(state.job, state.epoch)
        return self.size(marker.key) is not None

    def _check(self, job: str, after: JobState) -> None:
        history = self.states[job]
        before, since = history[-1], self._world.now - self._changed_at.get(job, 0.0)
        history.append(after)
        self._changed_at[job] = self._world.now
        assert after.revision == before.revision + 1, "revisions rise by one"
        assert before.txn in after.recent, "a writer can find its write below others"
        assert after.epoch - before.epoch in {0, 1}, "epochs never fall"
        claimed = after.status is Status.RUNNING and before.status is Status.QUEUED
        retried = before.status.ended and after.status is Status.QUEUED
        assert (after.epoch > before.epoch) == (claimed or retried), "an epoch is one claim"
        assert before.status is not Status.SUCCEEDED, "a published job is never changed"
        if after.status is not before.status and not after.status.ended:
            assert self._announced(after), "no marker announces it"
        counts = [state.failures + state.losses + state.releases for state in (before, after)]
        if before.status is Status.RUNNING and after.status is Status.QUEUED:
            assert counts[1] == counts[0] + 1, "how an attempt ended is counted"
        if after.losses > before.losses:
            assert since >= before.lease_s, "its owner had its lease still"
        if after.status is Status.RUNNING:
            assert claimed or before.owner == after.owner, "only a claim changes the owner"
        if after.status is Status.SUCCEEDED:
            self._check_published(before, after)
        if after.status is Status.FAILED:
            self._check_failed(after)

    def _check_published(self, before: JobState, after: JobState) -> None:
        assert before.status is Status.RUNNING and not before.cancel, "cancelled, and published"
        assert after.result is not None and after.result.epoch == before.epoch
        self.check_result(after)
        assert self.names[before.owner] in self.results(after)["model.glb"].decode().split()

    def results(self, state: JobState) -> dict[str, bytes]:
        """What a job published, by name."""
        assert state.result is not None
        epoch = state.result.epoch
        blob = self.get(manifest_key(state.job, epoch))
        assert blob is not None, "the manifest is there before the job is published, and stays"
        assert hashlib.sha256(blob.body).hexdigest() == state.result.manifest_sha256
        found = {}
        for entry in Manifest.from_bytes(blob.body).files:
            file = self.get(result_key(state.job, epoch, entry.sha256))
            assert file is not None, f"{entry.path} is missing from the result"
            assert hashlib.sha256(file.body).hexdigest() == entry.sha256
            found[entry.path] = file.body
        return found

    def check_result(self, state: JobState) -> None:
        assert state.result is not None
        epoch = str(state.result.epoch)
        assert epoch in self.results(state)["model.glb"].decode().split()

    @staticmethod
    def _check_failed(after: JobState) -> None:
        problem = after.problem
        assert problem is not None
        used_up = after.failures + after.losses >= min(after.tries, MAX_TRIES)
        hopeless = "no worker can run" in problem.message
        assert used_up or hopeless or problem.fault in FINAL_FAULTS, "it had tries left"


class SimulatedStore:
    """The store as processes see it: through the network."""

    def __init__(self, world: World) -> None:
        self._world, self._raw = world, world.raw

    def describe(self) -> str:
        return "simulated"

    def get(self, key: str, *, limit: int = MAX_OBJECT_BYTES) -> Blob | None:
        return self._do(f"get {key}", False, lambda: self._raw.get(key, limit=limit))

    def put(self, key: str, body: bytes) -> None:
        self._do(f"put {key}", True, lambda: self._raw.put(key, body))

    def put_if_absent(self, key: str, body: bytes) -> str:
        return self._once(f"create {key}", lambda: self._raw.put_if_absent(key, body))

    def swap(self, key: str, body: bytes, tag: str) -> str:
        status = JobState.from_bytes(body).status.value
        return self._once(f"swap {key} {status}", lambda: self._raw.swap(key, body, tag))

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

    def facts(self, key: str) -> Facts | None:
        return self._do(f"facts {key}", False, lambda: self._raw.facts(key))

    def upload(self, key: str, path: Path, progress: Any = None) -> None:
        body = path.read_bytes()  # now: what arrives late is what was sent
        self._do(f"upload {key}", True, lambda: self._raw.put(key, body))
        if progress:
            progress(len(body))

    def download(self, key: str, path: Path, **options: Any) -> None:
        self._do(f"download {key}", False, lambda: self._raw.download(key, path, **options))

    def clear_unfinished(self, prefix: str) -> None:
        """There are no parts here."""

    def link(self, key: str, *, seconds: int, filename: str) -> str | None:
        return None

    def _once(self, what: str, action: Callable[[], Any]) -> Any:
        return self._world.operate(what, True, action, conditional=True)

    def _do(self, what: str, write: bool, action: Callable[[], Any]) -> Any:
        """Repeated, as boto3 does it for us; conditional writes are not."""
        for _ in range(REPEATS - 1):
            with contextlib.suppress(UncertainError):
                return self._world.operate(what, write, action)
        return self._world.operate(what, write, action)
