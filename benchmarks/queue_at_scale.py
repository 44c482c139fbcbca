"""How many store requests a fleet makes: the real queue code, an in-memory store, a virtual clock.

    python benchmarks/queue_at_scale.py --workers 1000 --jobs 200 --start-within 1
    python benchmarks/queue_at_scale.py --workers 600 --jobs 1200 --job-seconds 300

Every worker is a thread that follows the rhythm of worker.py, but only one runs at a time: each
request hands the turn to whoever is due next, and takes LATENCY_S. So what a worker has listed may
be taken by another before it claims it, and two may read a state before either writes it, as with
a real server. `--start-within`: seconds in which all workers are started, by a scaler, say; the
figures are then those of the time until every job is claimed, and of one poll more. One worker in a
hundred dies in the middle of its first job.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from insaat_cli.errors import StoreError
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import JobState, Progress, Status, new_txn
from insaat_cli.remote.queue.lease import BEATS_PER_LEASE
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import Held, Pause
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.probe import needs_probe
from insaat_cli.remote.store.protocol import Entry
from insaat_cli.remote.worker import worker as real
from insaat_cli.remote.worker.options import DEFAULT_LEASE_S, DEFAULT_POLL_S

LATENCY_S = 0.05
PAGE = 1000
DEAD_SHARE = 0.01
STACK_BYTES = 512 << 10


class Clock:
    """Virtual time. Threads call `sleep`, and wake in the order of their times, one at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, threading.Event]] = []
        self._count = 0
        self.over = False

    def start(self, at: float, body: Callable[[], None]) -> None:
        turn = threading.Event()

        def live() -> None:
            turn.wait()
            try:
                body()
            except Over:
                pass
            finally:
                self._next()

        threading.Thread(target=live, daemon=True).start()
        self._push(at, turn)

    def sleep(self, seconds: float) -> None:
        turn = threading.Event()
        self._push(self.now + seconds, turn)
        self._next()
        turn.wait()
        if self.over:
            raise Over

    def run(self) -> None:
        """Until nobody is left."""
        self._end = threading.Event()
        self._next()
        self._end.wait()

    def _push(self, at: float, turn: threading.Event) -> None:
        self._count += 1
        heapq.heappush(self._due, (at, self._count, turn))

    def _next(self) -> None:
        if not self._due:
            self._end.set()
            return
        at, _, turn = heapq.heappop(self._due)
        if not self.over:
            self.now = at
        turn.set()


class Over(BaseException):
    """The simulation has seen enough."""


class CountingStore(MemoryStore):
    """Counts requests by kind and by second; each takes time in which others act."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        super().__init__()
        self.clock, self.chance = clock, chance
        self.kinds: Counter[str] = Counter()
        self.seconds: Counter[int] = Counter()
        self.counting = False

    def _count(self, kind: str, number: int = 1) -> None:
        if not self.counting:
            return
        self.kinds[kind] += number
        self.seconds[int(self.clock.now)] += number
        self.clock.sleep(LATENCY_S * self.chance.uniform(0.5, 1.5))

    def get(self, key: str, **limit: int) -> Any:
        self._count("GET")
        return super().get(key, **limit)

    def put(self, key: str, body: bytes) -> None:
        self._count("PUT")
        super().put(key, body)

    def put_if_absent(self, key: str, body: bytes) -> str:
        self._count("PUT if absent")
        return super().put_if_absent(key, body)

    def swap(self, key: str, body: bytes, tag: str) -> str:
        self._count("PUT if match")
        return super().swap(key, body, tag)

    def delete(self, key: str) -> None:
        self._count("DELETE")
        super().delete(key)

    def list(self, prefix: str, *, limit: int | None = None) -> Iterator[Entry]:
        found = list(super().list(prefix, limit=limit))
        for start in range(0, max(len(found), 1), PAGE):
            self._count("LIST")
            yield from found[start : start + PAGE]


class Fleet:
    """Workers and jobs, and when it is over."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.chance = random.Random(options.seed)
        self.clock = Clock()
        self.store = CountingStore(self.clock, self.chance)
        self.names = [new_job_id() for _ in range(options.jobs)]
        self.claimed: set[str] = set()
        self.ended: set[str] = set()
        self.deaths = 0
        boss = self.queue()
        for name in self.names:
            boss.submit(JobState(job=name, status=Status.QUEUED, txn=new_txn()), b"{}")
        self.store.counting = True

    def queue(self) -> Queue:
        return Queue(
            self.store,
            clock=lambda: self.clock.now,
            pause=Pause(self.clock.sleep, self.chance.random),
            choose=random.Random(self.chance.random()),
        )

    def play(self) -> None:
        herd = self.options.start_within is not None
        within = self.options.start_within if herd else DEFAULT_POLL_S
        for number in range(self.options.workers):
            # Apart from when they are started, real ones wait for `start_spread_s`.
            spread = self.options.spread * self.chance.random() if herd else 0.0
            at = within * self.chance.random() + spread
            self.clock.start(at, lambda number=number: self.work(number))
        if herd:
            self.clock.start(0.0, self.end_when_claimed)
        else:
            self.clock.start(0.0, self.end_when_ended)
        self.clock.run()

    def end_when_claimed(self) -> None:
        while len(self.claimed) < len(self.names):
            self.clock.sleep(0.1)
        self.claimed_s = self.clock.now
        self.requests_until_claimed = sum(self.store.kinds.values())
        self.clock.sleep(DEFAULT_POLL_S)
        self.clock.over = True

    def end_when_ended(self) -> None:
        while len(self.ended) < len(self.names):
            self.clock.sleep(1.0)
        self.clock.over = True

    def work(self, number: int) -> None:
        queue, mortal = self.queue(), self.chance.random() < DEAD_SHARE
        needs_probe(self.store)
        watched_at = self.clock.now
        while True:
            try:
                if self.clock.now - watched_at >= DEFAULT_LEASE_S / real.WATCHES_PER_LEASE:
                    watched_at = self.clock.now
                    queue.watch(real.WATCHED_IDLE)
                held, late = self.claim(queue, f"w{number}")
                if held is not None and not self.keep(queue, held, mortal):
                    self.deaths += 1
                    return
            except StoreError:
                held, late = None, False
            if held is None:
                pause = DEFAULT_POLL_S * self.chance.uniform(0.7, 1.3)
                self.clock.sleep(pause * (getattr(real, "LATE_SHARE", 1.0) if late else 1.0))

    def claim(self, queue: Queue, owner: str) -> tuple[Held | None, bool]:
        """As `Worker._fill` does it; also whether others were faster."""
        before = getattr(queue, "races_lost", 0)
        for marker in queue.candidates():
            held = queue.claim(marker, owner=owner, lease_s=DEFAULT_LEASE_S)
            if held is not None:
                self.claimed.add(held.state.job)
                return held, False
            lost = getattr(queue, "races_lost", 0) - before
            if lost >= getattr(real, "MAX_RACES_A_LOOK", sys.maxsize):
                return None, True
        return None, False

    def keep(self, queue: Queue, held: Held, mortal: bool) -> bool:
        """Heartbeats until the job is done; False if the worker died on it."""
        ends_at = self.clock.now + self.options.job_seconds * self.chance.uniform(0.7, 1.3)
        watched_at = self.clock.now
        while self.clock.now < ends_at:
            self.clock.sleep(min(DEFAULT_LEASE_S / BEATS_PER_LEASE, ends_at - self.clock.now))
            if mortal and ends_at - self.clock.now < self.options.job_seconds / 2:
                return False
            held = queue.renew(held, progress=Progress(share=0.5))
            if self.clock.now - watched_at >= DEFAULT_LEASE_S / real.WATCHES_PER_LEASE:
                watched_at = self.clock.now
                queue.watch(real.WATCHED_BUSY)
        queue.succeed(held, manifest_sha256="0" * 64)
        self.ended.add(held.state.job)
        return True


def simulate(options: argparse.Namespace) -> dict[str, Any]:
    threading.stack_size(STACK_BYTES)
    fleet = Fleet(options)
    fleet.play()
    store, total = fleet.store, sum(fleet.store.kinds.values())
    store.counting = False
    states = [fleet.queue().read(name).state for name in fleet.names]
    found: dict[str, Any] = {
        "workers": options.workers,
        "jobs": options.jobs,
        "virtual_s": round(fleet.clock.now, 1),
        "requests": total,
        "by_kind": dict(store.kinds),
        "mean_per_second": round(total / fleet.clock.now, 1),
        "worst_second": max(store.seconds.values()),
    }
    if options.start_within is not None:
        found["all_claimed_s"] = round(fleet.claimed_s, 1)
        found["requests_until_claimed"] = fleet.requests_until_claimed
        assert all(state.epoch == 1 for state in states), "each was claimed once"
        return found
    assert all(state.status is Status.SUCCEEDED for state in states)
    hours = fleet.clock.now / 3600 * options.workers
    return {
        **found,
        "lost": sum(state.losses for state in states),
        "per_worker_hour": round(total / hours, 1),
        "per_job": round(total / options.jobs, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--job-seconds", type=float, default=300.0)
    parser.add_argument("--start-within", type=float, help="seconds; default: a steady fleet")
    parser.add_argument("--spread", type=float, default=DEFAULT_POLL_S, help="start_spread_s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = simulate(options)
    for key, value in result.items():
        print(f"{key:24} {value}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
