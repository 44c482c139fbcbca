"""`--json`: every line is one object, whatever the names are."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

from insaat_cli.display.json_lines import JsonLines
from insaat_cli.runner.events import MemorySample, PhotosFound, StageProgress


def test_names_cannot_break_a_line() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="")
    name = "new\nline \u2028 \udce9 ç.jpg"
    JsonLines(stream)(PhotosFound(used=3, left_out={name: "truncated"}))
    [line] = raw.getvalue().split(b"\n")[:-1]
    fields = json.loads(line)
    del fields["time"]
    assert fields == {"event": "photos_found", "used": 3, "left_out": {name: "truncated"}}


def test_every_line_has_its_time() -> None:
    stream = io.StringIO()
    before = datetime.now(UTC)
    JsonLines(stream).write({"event": "check"})
    then = datetime.fromisoformat(json.loads(stream.getvalue())["time"])
    assert before - timedelta(seconds=1) < then <= datetime.now(UTC)
    assert then.utcoffset() == timedelta(0)


def test_samples_are_thinned_out_and_progress_is_not() -> None:
    stream = io.StringIO()
    listener = JsonLines(stream)
    for number in range(50):
        listener(MemorySample(used_bytes=number, peak_bytes=number, budget_bytes=100))
        listener(StageProgress(stage="dense", share=number / 50))
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events.count("stage_progress") == 50
    assert 1 <= events.count("memory_sample") < 10
