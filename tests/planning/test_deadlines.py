"""How long a stage may take."""

from __future__ import annotations

import pytest

from insaat_cli.planning.deadlines import NEVER, ONLY_SILENCE, Deadlines, StageLimits, job_limit


@pytest.mark.parametrize(
    ("deadlines", "predicted_s", "limits"),
    [
        (ONLY_SILENCE, 60.0, StageLimits(silence_s=3600.0, stage_s=NEVER)),
        (ONLY_SILENCE, 7200.0, StageLimits(silence_s=36000.0, stage_s=NEVER)),
        (Deadlines(), 60.0, StageLimits(silence_s=3600.0, stage_s=4 * 3600.0)),
        (Deadlines(), 7200.0, StageLimits(silence_s=36000.0, stage_s=40 * 3600.0)),
        (Deadlines(silence_s=5.0, stage_s=9.0), 7200.0, StageLimits(silence_s=5.0, stage_s=9.0)),
        (Deadlines(silence_s=0.0, stage_s=0.0), 60.0, StageLimits()),
    ],
)
def test_limits_are_far_beyond_the_prediction_unless_asked_for(
    deadlines: Deadlines, predicted_s: float, limits: StageLimits
) -> None:
    assert deadlines.limits(predicted_s) == limits


def test_a_job_has_half_a_day_at_least() -> None:
    assert job_limit(None, 60.0) == 12 * 3600.0
    assert job_limit(None, 7200.0) == 40 * 3600.0
    assert job_limit(90.0, 7200.0) == 90.0
    assert job_limit(0.0, 7200.0) == NEVER
