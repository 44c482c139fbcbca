"""How many store requests a fleet makes: the real queue code, an in-memory store, a virtual clock.

    python benchmarks/queue_at_scale.py --workers 1000 --jobs 2000 --json out.json

Every worker follows the rhythm of worker.py: look every 10 s, heartbeat every 20 s, watch others.
The figures are requests per worker-hour and per job, and the worst second, which the bucket
must bear. One worker in a hundred dies in the middle of its first job.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import JobState, Progress, Status, new_txn
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.state_writes import Held, Pause
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.protocol import Entry
from insaat_cli.remote.worker.worker import WATCHED_BUSY, WATCHED_IDLE, WATCHES_PER_LEASE

LEASE_S, POLL_S, BEAT_S = 120.0, 10.0, 20.0
PAGE = 1000
DEAD_SHARE = 0.01


class CountingStore(MemoryStore):
    """Counts requests by kind and by second."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.kinds: Counter[str] = Counter()
        self.seconds: Counter[int] = Counter()

    def _count(self, kind: str, number: int = 1) -> None:
        self.kinds[kind] += number
        self.seconds[int(self.now)] += number

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
        for index, entry in enumerate(super().list(prefix, limit=limit)):
            if index % PAGE == 0:
                self._count("LIST")
            yield entry
        if next(super().list(prefix, limit=1), None) is None:
            self._count("LIST")


@dataclass
class Worker:
    queue: Queue
    mortal: bool
    held: Held | None = None
    ends_at: float = 0.0
    looked_at: float = 0.0


@dataclass(order=True)
class Turn:
    at: float
    number: int
    worker: Worker = field(compare=False)


def simulate(workers: int, jobs: int, job_s: float, seed: int) -> dict[str, Any]:
    store, chance = CountingStore(), random.Random(seed)

    def queue(number: int) -> Queue:
        return Queue(
            store,
            clock=lambda: store.now,
            pause=Pause(lambda _: None),
            choose=random.Random(number),
        )

    names = [new_job_id() for _ in range(jobs)]
    for name in names:
        queue(0).submit(JobState(job=name, status=Status.QUEUED, txn=new_txn()), b"{}")
    store.kinds.clear()
    store.seconds.clear()
    staff = [Worker(queue(n), mortal=chance.random() < DEAD_SHARE) for n in range(workers)]
    turns = [Turn(chance.random() * POLL_S, number, one) for number, one in enumerate(staff)]
    heapq.heapify(turns)
    done = 0
    while done < jobs and turns:
        turn = heapq.heappop(turns)
        store.now = turn.at
        died, finished = act(turn.worker, chance, job_s, f"w{turn.number}")
        done += finished
        if not died:
            pause = BEAT_S / 2 if turn.worker.held else POLL_S
            heapq.heappush(
                turns, Turn(turn.at + pause * chance.uniform(0.7, 1.3), turn.number, turn.worker)
            )
    states = [queue(0).read(name).state for name in names]
    assert all(state.status is Status.SUCCEEDED for state in states)
    hours = store.now / 3600 * workers
    return {
        "workers": workers,
        "jobs": jobs,
        "job_s": job_s,
        "makespan_s": round(store.now),
        "lost": sum(state.losses for state in states),
        "requests": dict(store.kinds),
        "per_worker_hour": round(sum(store.kinds.values()) / hours, 1),
        "per_job": round(sum(store.kinds.values()) / jobs, 1),
        "mean_per_second": round(sum(store.kinds.values()) / store.now, 1),
        "worst_second": max(store.seconds.values()),
    }


def act(worker: Worker, chance: random.Random, job_s: float, name: str) -> tuple[bool, int]:
    """One turn; whether the worker died, and how many jobs it finished."""
    queue, now = worker.queue, worker.queue._clock()
    if now - worker.looked_at >= LEASE_S / WATCHES_PER_LEASE:
        worker.looked_at = now
        queue.watch(WATCHED_BUSY if worker.held else WATCHED_IDLE)
    if worker.held is not None:
        if worker.mortal and now > worker.ends_at - job_s / 2:
            return True, 0
        if now < worker.ends_at:
            worker.held = queue.renew(worker.held, progress=Progress(share=0.5))
            return False, 0
        queue.succeed(worker.held, manifest_sha256="0" * 64)
        worker.held = None
        return False, 1
    for marker in queue.candidates():
        held = queue.claim(marker, owner=name, lease_s=LEASE_S)
        if held is not None:
            worker.held, worker.ends_at = held, now + job_s * chance.uniform(0.7, 1.3)
            break
    return False, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--job-seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = simulate(options.workers, options.jobs, options.job_seconds, options.seed)
    for key, value in result.items():
        print(f"{key:16} {value}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
