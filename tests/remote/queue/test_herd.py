"""A fleet that is started all at once: each job goes to one worker, and the others let it be."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.store.probe import PASSED_KEY, needs_probe, probe_for_all

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmarks" / "queue_at_scale.py"
JOB = "20260101-000000-aaaaaaaa"


def test_a_thousand_workers_started_at_once_make_few_requests(tmp_path: Path) -> None:
    """Until all 200 jobs are claimed, and for ten seconds more; it was 354,844 before."""
    result = tmp_path / "result.json"
    command = [sys.executable, str(BENCHMARK), "--workers", "1000", "--jobs", "200"]
    subprocess.run(
        [*command, "--start-within", "1", "--json", str(result)], check=True, capture_output=True
    )
    found = json.loads(result.read_text())
    assert found["requests"] <= 5000
    assert found["by_kind"]["DELETE"] == 200, "by the winners only"
    assert found["by_kind"]["PUT if match"] > 220, "they did race, or this would prove nothing"
    assert found["all_claimed_s"] < 20


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.deleted: Counter[str] = Counter()

    def delete(self, key: str) -> None:
        self.deleted[key] += 1
        super().delete(key)


def test_only_the_winner_deletes_the_marker_unless_it_cannot() -> None:
    store, now = Counting(), [0.0]

    def queue(number: int) -> Queue:
        return Queue(store, clock=lambda: now[0], choose=random.Random(number))

    queue(0).submit(JobState(job=JOB, status=Status.QUEUED, txn=new_txn()), b"{}")
    (marker,) = queue(0).candidates()
    assert queue(1).claim(marker, owner="winner", lease_s=60)
    losers = [queue(number) for number in range(20)]
    for loser in losers:
        assert loser.claim(marker, owner="loser", lease_s=60) is None
        assert loser.races_lost == 1
    assert store.deleted == {marker.key: 1}
    store.put(marker.key, b"")  # as if the winner had died before it deleted it
    for now[0] in range(5, 100, 5):
        for loser in losers:
            for found in loser.candidates():
                loser.claim(found, owner="loser", lease_s=60)
    assert store.deleted == {marker.key: 2} and not list(store.list("queued/"))


def test_one_worker_tests_the_store_for_all_on_a_day() -> None:
    """Fifty requests each would be more than all that a herd does otherwise."""
    store = Counting()
    assert needs_probe(store)
    probe_for_all(store, now=lambda: 1e9)
    assert not needs_probe(store, now=lambda: 1e9 + 3600)
    assert needs_probe(store, now=lambda: 1e9 + 2 * 86400)
    for body in (b"", b"[]", b'{"at": "noon"}'):
        store.put(PASSED_KEY, body)
        assert needs_probe(store)
