"""The transitions, one by one and in random order."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insaat_cli.errors import Fault, StoreError
from insaat_cli.remote.queue import job_state as transitions
from insaat_cli.remote.queue.job_state import (
    JobState,
    Problem,
    Progress,
    RefusedError,
    Status,
    check_id,
)

JOB = "20260101-000000-aaaaaaaa"
BOOM = Problem(fault=Fault.STAGE, message="boom")
QUEUED = JobState(job=JOB, status=Status.QUEUED, txn="t", tries=3)
RUNNING = transitions.claim(QUEUED, owner="w", lease_s=60)
ME = {"owner": "w", "epoch": 1}


def succeed(state: JobState, **who: object) -> JobState:
    return transitions.succeed(state, manifest_sha256="0" * 64, **{**ME, **who})


STEPS: dict[str, Callable[[JobState], JobState]] = {
    "claim": lambda state: transitions.claim(state, owner="w", lease_s=60),
    "renew": lambda state: transitions.renew(
        state, owner="w", epoch=state.epoch, progress=Progress()
    ),
    "succeed": lambda state: succeed(state, epoch=state.epoch),
    "fail": lambda state: transitions.fail(state, owner="w", epoch=state.epoch, problem=BOOM),
    "release": lambda state: transitions.release(state, owner="w", epoch=state.epoch),
    "give_up": lambda state: transitions.give_up(state, owner="w", epoch=state.epoch, problem=BOOM),
    "lose": lambda state: transitions.lose(state, epoch=state.epoch),
    "cancel": transitions.cancel,
    "retry": transitions.retry,
    "remove": transitions.remove,
}


def test_failures_and_losses_end_a_job_releases_never_do() -> None:
    state = RUNNING
    for epoch in range(1, 50):
        state = transitions.release(state, owner="w", epoch=epoch)
        state = transitions.claim(state, owner="w", lease_s=60)
    assert state.releases == 49
    state = transitions.lose(state, epoch=50)
    assert state.status is Status.QUEUED
    state = transitions.fail(STEPS["claim"](state), owner="w", epoch=51, problem=BOOM)
    assert state.status is Status.QUEUED
    state = transitions.lose(STEPS["claim"](state), epoch=52)
    assert state.status is Status.FAILED
    assert (state.failures, state.losses) == (1, 2)
    assert state.problem == BOOM, "what is known about the fault is kept"


@pytest.mark.parametrize("fault", sorted(transitions.FINAL_FAULTS))
def test_faults_that_would_come_again_end_at_once(fault: Fault) -> None:
    problem = Problem(fault=fault, message="no")
    assert transitions.fail(RUNNING, **ME, problem=problem).status is Status.FAILED


@pytest.mark.parametrize("who", [{"owner": "x"}, {"epoch": 2}, {"epoch": 0}])
def test_only_the_owner_of_the_epoch_may_act(who: dict[str, object]) -> None:
    with pytest.raises(RefusedError):
        succeed(RUNNING, **who)
    with pytest.raises(RefusedError):
        transitions.renew(RUNNING, **{**ME, **who}, progress=Progress())
    with pytest.raises(RefusedError):
        transitions.release(RUNNING, **{**ME, **who})
    with pytest.raises(RefusedError):
        transitions.fail(RUNNING, **{**ME, **who}, problem=BOOM)


def test_a_cancelled_job_cannot_be_published_and_ends_when_it_is_given_back() -> None:
    asked = transitions.cancel(RUNNING)
    assert asked.status is Status.RUNNING
    with pytest.raises(RefusedError):
        succeed(asked)
    assert transitions.release(asked, **ME).status is Status.CANCELLED
    assert transitions.lose(asked, epoch=1).status is Status.CANCELLED
    assert transitions.fail(asked, **ME, problem=BOOM).status is Status.CANCELLED


def test_a_job_that_fits_no_worker_ends_without_a_failure_of_its_own() -> None:
    ended = transitions.give_up(RUNNING, **ME, problem=BOOM)
    assert (ended.status, ended.failures, ended.losses) == (Status.FAILED, 0, 0)
    assert ended.problem == BOOM
    asked = transitions.cancel(RUNNING)
    assert transitions.give_up(asked, **ME, problem=BOOM).status is Status.CANCELLED
    with pytest.raises(RefusedError):
        transitions.give_up(RUNNING, owner="x", epoch=1, problem=BOOM)


def test_the_state_is_that_of_earlier_versions() -> None:
    """They refuse a key that they do not know, and would then take no job at all."""
    assert set(json.loads(RUNNING.to_bytes())) == {
        "format", "job", "status", "revision", "epoch", "priority", "tags", "tries", "owner",
        "lease_s", "heartbeat", "progress", "failures", "losses", "releases", "cancel",
        "removing", "problem", "result", "submitted_at", "changed_at", "txn", "recent",
    }  # fmt: skip


def test_retry_starts_anew_under_a_new_epoch() -> None:
    failed = dataclasses.replace(RUNNING, status=Status.FAILED, failures=3, problem=BOOM)
    again = transitions.retry(failed)
    assert (again.status, again.failures, again.epoch) == (Status.QUEUED, 0, 2)
    with pytest.raises(RefusedError):
        transitions.retry(transitions.remove(failed))


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=40))
def test_any_order_of_steps_keeps_the_order_of_things(names: list[str]) -> None:
    state, published, life = QUEUED, 0, QUEUED.life
    for name in names:
        try:
            after = STEPS[name](state)
        except RefusedError:
            continue
        assert after.revision == state.revision + 1
        assert after.epoch >= state.epoch
        assert after.txn != state.txn and state.txn in after.recent
        assert (after.result is not None) == (after.status is Status.SUCCEEDED)
        assert after.failures + after.losses <= after.tries
        if not after.status.ended:
            assert after.life > life if name == "retry" else after.life == life
            life = after.life
        assert JobState.from_bytes(after.to_bytes()) == after
        published += name == "succeed"
        state = after
    assert published <= 1


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"format": 2}', b"\xff", b'{"format": 1}'])
def test_a_damaged_state_is_a_store_error(body: bytes) -> None:
    with pytest.raises(StoreError):
        JobState.from_bytes(body)


def test_fields_of_newer_versions_are_kept_on_every_way() -> None:
    """Versions work side by side while a fleet changes: a step of ours must not lose theirs."""
    raw = json.loads(RUNNING.to_bytes())
    raw["needs"] = {"memory": [1, {"x": None}]}
    raw["progress"]["photos"] = 7
    raw["problem"] = {**dataclasses.asdict(BOOM), "since": "noon"}
    state = JobState.from_bytes(json.dumps(raw).encode())
    assert json.loads(state.to_bytes()) == raw
    asked = json.loads(transitions.cancel(state).to_bytes())
    assert asked["needs"] == raw["needs"] and asked["problem"] == raw["problem"]
    done = json.loads(succeed(state).to_bytes())
    assert done["needs"] == raw["needs"] and done["problem"] is None
    assert done["progress"] == dataclasses.asdict(Progress(share=1.0)), "said of another moment"


ODD = {
    "job": 7, "status": "ASLEEP", "revision": "1", "epoch": 10**7, "priority": True,
    "tags": "gpu", "tries": -1, "owner": None, "lease_s": "60", "heartbeat": 1.5,
    "progress": [], "failures": {}, "losses": None, "releases": -5, "cancel": 0,
    "removing": "no", "problem": {"fault": "none"}, "result": {"epoch": 1},
    "submitted_at": 3, "changed_at": [], "txn": {}, "recent": [1],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ODD))
@pytest.mark.parametrize("how", ["odd", "missing", "deep"])
def test_a_field_of_another_type_is_a_store_error(name: str, how: str) -> None:
    raw = json.loads(RUNNING.to_bytes())
    deep: object = 1
    for _ in range(60):
        deep = [deep]
    raw[name] = ODD[name] if how == "odd" else deep
    if how == "missing":
        del raw[name]
    with pytest.raises(StoreError):
        JobState.from_bytes(json.dumps(raw).encode())


def test_a_state_stays_small_whatever_its_programs_say() -> None:
    loud = Problem(fault=Fault.STAGE, message="\U0001f4f7" * 10**6, hint="h" * 10**6)
    state = transitions.fail(RUNNING, **ME, problem=loud)
    assert len(state.to_bytes()) < transitions.MAX_STATE_BYTES / 2
    assert JobState.from_bytes(state.to_bytes()) == state


def test_a_job_ends_after_a_bounded_number_of_tries_whatever_it_says() -> None:
    state = dataclasses.replace(QUEUED, tries=10**9)
    for epoch in range(1, transitions.MAX_TRIES + 1):
        assert state.status is Status.QUEUED
        state = transitions.lose(transitions.claim(state, owner="w", lease_s=60), epoch=epoch)
    assert state.status is Status.FAILED


@pytest.mark.parametrize("job", ["", "../x", JOB + "/..", JOB.upper(), "a" * 3000, JOB + "\n"])
def test_odd_ids_never_become_keys(job: str) -> None:
    with pytest.raises(StoreError):
        check_id(job)
