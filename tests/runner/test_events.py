"""Messages as JSON: `--json` prints these fields."""

from __future__ import annotations

import json
from pathlib import Path

from insaat_cli.runner.events import RunStarted, StageFinished, StageOutline, event_fields


def test_every_value_is_plain_json() -> None:
    event = RunStarted(
        pipeline="p",
        preset="normal",
        workspace=Path("/w"),
        stages=(StageOutline(name="a", title="doing a"),),
        photos=3,
        memory_budget_bytes=10,
        threads=2,
    )
    fields = event_fields(event)
    assert fields["event"] == "run_started"
    assert fields["workspace"] == "/w"
    assert fields["stages"] == [{"name": "a", "title": "doing a"}]
    assert json.loads(json.dumps(fields)) == fields


def test_metrics_are_nested() -> None:
    event = StageFinished(
        stage="a",
        title="A",
        seconds=1.5,
        peak_bytes=9,
        metrics={"folder": Path("/x"), "n": [1, (2,)]},
    )
    assert event_fields(event)["metrics"] == {"folder": "/x", "n": [1, [2]]}
