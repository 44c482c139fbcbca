"""Time left: from predictions at first, from what stages really take later."""

from __future__ import annotations

import pytest

from insaat_cli.runner.progress import TimeLeft


def test_at_the_start_it_is_the_sum_of_predictions() -> None:
    clock = TimeLeft({"a": 10, "b": 30})
    assert clock.seconds_left() == pytest.approx(40)
    assert clock.share(0.0) == 0.0


def test_a_slow_machine_is_noticed() -> None:
    clock = TimeLeft({"a": 10, "b": 10})
    clock.finished("a", 20)
    assert 15 < clock.seconds_left() <= 20


def test_a_running_stage_is_believed_once_it_has_done_a_third() -> None:
    clock = TimeLeft({"a": 10})
    clock.running("a", 20, 0.5)
    assert clock.seconds_left() == pytest.approx(20)
    clock.running("a", 20, 1.0)
    assert clock.seconds_left() == 0


def test_a_silent_overdue_stage_never_promises_the_end() -> None:
    clock = TimeLeft({"a": 10})
    clock.running("a", 100, 0.0)
    assert clock.seconds_left() >= 10


def test_skipped_stages_cost_nothing() -> None:
    clock = TimeLeft({"a": 10, "b": 30})
    clock.skipped("a")
    assert clock.seconds_left() == pytest.approx(30)


def test_the_share_never_goes_back_and_ends_at_one() -> None:
    clock = TimeLeft({"a": 10, "b": 10})
    shares = []
    for elapsed, share in ((5, 0.9), (6, 0.91), (9, 0.92)):
        clock.running("a", elapsed, share)
        shares.append(clock.share(elapsed))
    clock.finished("a", 30)
    shares.append(clock.share(30))
    clock.finished("b", 30)
    shares.append(clock.share(60))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
