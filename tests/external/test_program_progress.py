from __future__ import annotations

from insaat_cli.external.program_progress import Phase, PhaseProgress


def test_phases_follow_one_another_by_their_weights() -> None:
    follower = PhaseProgress([Phase(text="Estimated", weight=3), Phase(text="Fused", weight=1)])
    assert follower.read("Estimated depth-maps 1 (50.00%, 3s, ETA 3s)...") == 0.375
    assert follower.read("no figures here") == 0.375
    assert follower.read("Fused depth-maps 4 (100%, 2s)") == 1.0


def test_the_same_words_again_are_the_next_round() -> None:
    follower = PhaseProgress([Phase(text="Geometric")] * 2)
    assert [follower.read(f"Geometric {p}%") for p in (50, 100, 50, 100)] == [0.25, 0.5, 0.75, 1]


def test_it_never_falls_and_skips_what_is_left_out() -> None:
    follower = PhaseProgress([Phase(text="A"), Phase(text="B"), Phase(text="C")])
    assert follower.read("C 40%") == (2 + 0.4) / 3
    assert follower.read("A 90%") == (2 + 0.4) / 3
    assert follower.read("C 20%") == (2 + 0.4) / 3
    assert follower.read("C 999%") == 1.0
