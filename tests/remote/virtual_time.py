"""The real `Worker`, `JobRun` and `Lease` on the clock of a world, and on its threads.

Nothing of theirs is written anew: their modules are given another `time`, `threading` and `queue`,
and a reconstruction that takes virtual time in place of a process.
"""

from __future__ import annotations

import json
import math
import random
import threading
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from insaat_cli.remote.queue import job_spec, lease
from insaat_cli.remote.store import transfer
from insaat_cli.remote.worker import checkpoints, job_run, worker
from tests.remote.simulation import Actor, World

LISTEN_S = 2.0


class Event:
    def __init__(self, world: World) -> None:
        self._world, self._is_set, self._waiting = world, False, list[Actor]()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for actor in self._waiting:
            actor.wakes_at = min(actor.wakes_at, self._world.now)

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if self._is_set:
            return True
        actor = self._world.current()
        self._waiting.append(actor)
        try:
            self._world.sleep(math.inf if timeout is None else timeout)
        finally:
            self._waiting.remove(actor)
        return self._is_set


class Lock:
    def __init__(self, world: World) -> None:
        self._free = Event(world)
        self._free.set()

    def __enter__(self) -> None:
        while not self._free.is_set():
            self._free.wait()
        self._free.clear()

    def __exit__(self, *error: object) -> None:
        self._free.set()


class Thread:
    def __init__(
        self, world: World, *, target: Callable[..., None], args: tuple[Any, ...] = (), **_: Any
    ) -> None:
        self._world, self._target, self._args = world, target, args
        self._over = Event(world)

    def start(self) -> None:
        self._world.spawn(self._world.current().process, self._run)

    def join(self, timeout: float | None = None) -> None:
        self._over.wait(timeout)

    def _run(self) -> None:
        try:
            self._target(*self._args)
        finally:
            self._over.set()


class SimpleQueue:
    def __init__(self, world: World) -> None:
        self._items: deque[Any] = deque()
        self._came = Event(world)

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._came.set()

    def get(self) -> Any:
        while not self._items:
            self._came.clear()
            self._came.wait()
        return self._items.popleft()


class Waker:
    def __init__(self, world: World) -> None:
        self._called = Event(world)

    def set(self) -> None:
        self._called.set()

    def wait(self, seconds: float) -> None:
        self._called.wait(seconds)
        self._called.clear()

    def close(self) -> None:
        """Nothing is open."""


class Log:
    """What a worker calls unexpected is a fault of ours."""

    def __init__(self, world: World) -> None:
        self._world = world

    def info(self, *said: object) -> None:
        """Nobody reads it."""

    warning = info

    def exception(self, text: str, *said: object) -> None:
        import sys

        error = sys.exc_info()[1]
        self._world.fail(error or AssertionError(text))


class Child:
    """A reconstruction in virtual time. `script` says how it goes."""

    def __init__(self, world: World, script: Any, spec: Any) -> None:
        request = json.loads(Path(spec.arguments[-1]).read_text())
        self._world, self._output = world, Path(request["output"])
        self.process = world.current().process
        self.started = world.now
        self.job, _, self.epoch = self._output.parent.name.rpartition("-")
        self._script = script
        self._plan = script.plan(self)
        self._said = 0
        self._code: int | None = None
        script.began(self)

    def events(self) -> list[dict[str, Any]]:
        due = [one for one in self._plan.events if one[0] <= self._world.now - self.started]
        fresh, self._said = due[self._said :], len(due)
        for _, event in fresh:
            if event["event"] == "stage_finished":
                self._write_stage(event["stage"])
        return [event for _, event in fresh]

    def exit_code(self) -> int | None:
        if self._code is None and self._world.now - self.started >= self._plan.seconds:
            self._code = self._plan.code
            if self._code == 0:
                self._write_results()
            self._script.ended(self)
        return self._code

    def stop(self, deadline_s: float) -> None:
        self._code = -15
        self._script.ended(self)

    def close(self) -> None:
        self._script.ended(self)

    def _write_stage(self, stage: str) -> None:
        folder = self._output / "stages" / stage
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stage.json").write_text(json.dumps({"fingerprint": "0" * 64, "outputs": {}}))

    def _write_results(self) -> None:
        text = f"model of {self.process.name} epoch {int(self.epoch)} {self._world.random.random()}"
        (self._output / "model.glb").write_text(text)
        (self._output / "run.json").write_text(json.dumps({"results": ["model.glb"]}))


@contextmanager
def virtual(world: World, script: Any) -> Iterator[None]:
    """While inside, workers live in `world`, and their jobs go as `script` says."""
    time = types.SimpleNamespace(
        monotonic=lambda: world.now, sleep=world.sleep, time=lambda: world.now
    )
    threads = types.SimpleNamespace(
        Event=lambda: Event(world),
        Lock=lambda: Lock(world),
        Thread=lambda **options: Thread(world, **options),
        current_thread=object,
        main_thread=threading.main_thread,
    )

    def one_by_one(actions: Any, *, threads: int, check: Callable[[], None]) -> None:
        for action in actions:
            check()
            action()

    with pytest.MonkeyPatch.context() as patch:
        for module in (lease, worker, job_run, checkpoints, transfer):
            for name, value in (("time", time), ("threading", threads), ("log", Log(world))):
                if hasattr(module, name):
                    patch.setattr(module, name, value)
        patch.setattr(
            checkpoints, "queue", types.SimpleNamespace(SimpleQueue=lambda: SimpleQueue(world))
        )
        patch.setattr(transfer, "in_parallel", one_by_one)
        patch.setattr(worker, "Waker", lambda: Waker(world))
        patch.setattr(worker, "machine_name", lambda: world.current().process.name)
        patch.setattr(worker, "too_small_for_any", lambda allowed, grant: None)
        pause = worker.Pause(world.sleep, world.random.random)
        patch.setattr(worker, "Pause", lambda: pause)
        real_queue = worker.Queue

        def queue(*arguments: Any, **options: Any) -> Any:
            chance = random.Random(world.random.random())
            return real_queue(*arguments, choose=chance, **options)

        patch.setattr(worker, "Queue", queue)
        patch.setattr(job_run, "ChildProcess", lambda spec: Child(world, script, spec))
        patch.setattr(job_run, "LISTEN_S", LISTEN_S)
        patch.setattr(job_spec, "find_pipeline", lru_cache(job_spec.find_pipeline))
        yield
