"""Who gets which job: priority, age, tags; and what a removed job leaves behind."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

from PIL import Image
from tests.remote.machines import make_photos

from insaat_cli.photos.downscale import resized_copy
from insaat_cli.photos.find_photos import find_photos
from insaat_cli.remote.client.client import Client
from insaat_cli.remote.client.submit import new_job_id
from insaat_cli.remote.queue.job_state import JobState, Status, new_txn
from insaat_cli.remote.queue.keys import state_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.memory_store import MemoryStore


def queue_with(store: MemoryStore, *wanted: JobState) -> Queue:
    queue = Queue(store, clock=lambda: 0.0, choose=random.Random(1))
    for state in wanted:
        queue.submit(state, b"{}")
    return queue


def job(number: int, **fields: object) -> JobState:
    plain = JobState(job=f"20260101-00000{number}-aaaaaaaa", status=Status.QUEUED, txn=new_txn())
    return dataclasses.replace(plain, **fields)


def test_higher_priority_comes_first() -> None:
    jobs = [job(1, priority=0), job(2, priority=99), job(3), job(4)]
    order = [found.job for found in queue_with(MemoryStore(), *jobs).candidates()]
    assert order[0] == jobs[1].job and order[-1] == jobs[0].job


def test_a_low_priority_does_not_wait_for_ever() -> None:
    """Better jobs keep coming, faster than they are done; the scan reads two hundred markers."""
    store = MemoryStore()
    queue = queue_with(store, job(1, priority=0))
    for _ in range(300):
        queue.submit(job(2, job=new_job_id(), priority=99), b"{}")
    taken = []
    for _ in range(60):
        queue.submit(job(3, job=new_job_id(), priority=99), b"{}")
        held = queue.claim(queue.candidates()[0], owner="w", lease_s=60)
        assert held is not None
        taken.append(held.state.job)
        if held.state.priority == 0:
            break
    assert taken[-1] == job(1).job
    assert len(taken) > 1, "but better ones come first as a rule"


def test_tagged_jobs_wait_for_a_worker_that_has_all_their_tags() -> None:
    queue = queue_with(MemoryStore(), job(1, tags=("gpu", "large")), job(2))
    assert len(queue.candidates()) == 1
    assert len(queue.candidates(["gpu"])) == 1
    assert len(queue.candidates(["gpu", "large", "other"])) == 2


def test_many_jobs_for_others_do_not_hide_the_own() -> None:
    jobs = [
        job(1, job=f"20260101-000000-aaaaa{a}{b}{c}", tags=("gpu",))
        for a in "abcdef" for b in "abcdef" for c in "abcdefgh"
    ]  # fmt: skip
    queue = queue_with(MemoryStore(), *jobs, job(9))
    assert [found.job for found in queue.candidates()] == [job(9).job]


def test_markers_without_a_state_starve_nobody() -> None:
    """Five hundred that sort before it, from submitters that died or mean ill."""
    store, now = MemoryStore(), [0.0]
    queue = Queue(store, clock=lambda: now[0], choose=random.Random(1))
    for number in range(500):
        store.put(f"queued/00-20260101-{number:06d}-bbbbbbbb-000000", b"")
    queue.submit(job(9), b"{}")
    looks = 0
    for now[0] in range(0, 60, 10):
        for marker in queue.candidates():
            looks += 1
            if queue.claim(marker, owner="w", lease_s=60) is not None:
                assert now[0] <= 30 and looks <= 600
                return
    raise AssertionError("an hour would be needed")


def test_a_submission_under_way_is_found_at_the_next_look() -> None:
    store, now = MemoryStore(), [0.0]
    queue = Queue(store, clock=lambda: now[0], choose=random.Random(1))
    (marker,) = queue_with(store, job(9)).candidates()
    state = store.get(state_key(marker.job))
    assert state is not None
    store.delete(state_key(marker.job))
    assert queue.claim(marker, owner="w", lease_s=60) is None
    store.put(state_key(marker.job), state.body)
    now[0] = 10.0
    assert next(queue.claim(found, owner="w", lease_s=60) for found in queue.candidates())


def test_removing_leaves_nothing_but_photos() -> None:
    store = MemoryStore()
    queue = queue_with(store, job(1))
    store.put("inputs/ab/abc", b"photo")
    client = Client(store, queue)
    client.cancel(job(1).job)
    client.remove(job(1).job)
    assert [entry.key for entry in store.list("")] == ["inputs/ab/abc"]


def test_resizing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    photo = find_photos([make_photos(tmp_path / "photos", side=800)]).used[0]
    one = resized_copy(photo, 400, tmp_path / "one")
    two = resized_copy(photo, 400, tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()
    with Image.open(one) as image:
        assert max(image.size) == 400
    assert resized_copy(photo, 800, tmp_path / "three") == photo.path
