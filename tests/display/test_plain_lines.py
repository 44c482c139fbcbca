"""Progress without a terminal: few lines, each on its own."""

from __future__ import annotations

from pathlib import Path

from insaat_cli.display.plain_lines import PlainLines
from insaat_cli.runner.events import (
    PhotosFound,
    RunEvent,
    RunPlanned,
    RunProgress,
    RunStarted,
    StageDegraded,
    StageFinished,
    StageOutline,
    StageProgress,
    StageSkipped,
    StageStarted,
)


def told(*events: RunEvent, verbose: bool = False) -> list[str]:
    lines: list[str] = []
    listener = PlainLines(lines.append, verbose=verbose)
    outlines = (
        StageOutline(name="resize", title="preparing photos"),
        StageOutline(name="dense", title="computing depth"),
    )
    listener(
        RunStarted(
            pipeline="embedded",
            preset="draft",
            workspace=Path("out"),
            stages=outlines,
            photos=1,
            memory_budget_bytes=800_000_000,
            threads=1,
        )
    )
    for event in events:
        listener(event)
    return lines


def dense_started(attempt: int = 1) -> StageStarted:
    return StageStarted(
        stage="dense",
        title="computing depth",
        threads=2,
        attempt=attempt,
        predicted_bytes=10**9,
        predicted_seconds=61.0,
        log=Path("logs/dense.log"),
    )


def test_run_in_one_line() -> None:
    assert told() == [
        "1 photo, pipeline embedded, preset draft, 1 thread, at most 800 MB of memory"
    ]


def test_quarters_are_told_once_with_the_time_left() -> None:
    shares = (0.1, 0.26, 0.3, 0.8, 0.9, 1.0)
    run_progress = RunProgress(share=0.1, elapsed_seconds=1.0, seconds_left=75.0)
    progress = [StageProgress(stage="dense", share=share) for share in shares]
    assert told(dense_started(), run_progress, *progress)[1:] == [
        "[2/2] computing depth (dense)",
        "[2/2] computing depth: 25%, about 1:15 min left in total",
        "[2/2] computing depth: 75%, about 1:15 min left in total",
    ]


def test_stages_that_are_kept_repeated_lowered_or_done() -> None:
    finished = StageFinished(
        stage="dense", title="", seconds=2.0, peak_bytes=5 * 10**8, metrics={"filled": 0.91234}
    )
    degraded = StageDegraded(stage="dense", reason="it ran out of memory", changes={"threads": 1})
    skipped = StageSkipped(stage="resize", title="preparing photos")
    assert told(skipped, degraded, dense_started(2), finished)[1:] == [
        "[1/2] preparing photos: reused",
        "[2/2] computing depth: retrying with threads 1: it ran out of memory",
        "[2/2] computing depth (dense, attempt 2)",
        "[2/2] computing depth: done in 2.0 s, peak 500 MB",
    ]
    assert told(finished, verbose=True)[-1].endswith("peak 500 MB (filled 0.9123)")


def test_verbose_names_the_log() -> None:
    assert told(dense_started(), verbose=True)[-1] == (
        "[2/2] computing depth (dense): 2 threads, "
        "predicted 1:01 min and 1.0 GB, log logs/dense.log"
    )


def test_left_out_files_are_named_on_one_line_each() -> None:
    files = {f"{number}\n.jpg": "truncated" for number in range(20)}
    lines = told(PhotosFound(used=5, left_out=files))[1:]
    assert lines[0] == "20 files left out:"
    assert lines[1] == "  0\\n.jpg: truncated"
    assert lines[-1] == "  … and 12 others (see the report)"
    assert len(told(PhotosFound(used=5, left_out=files), verbose=True)) == 22


def test_dry_run_says_what_would_be_lowered() -> None:
    planned = RunPlanned(
        stage="dense",
        title="computing depth",
        skipped=False,
        threads=1,
        predicted_bytes=7 * 10**8,
        predicted_seconds=30.0,
        changes={"max_side": 800},
    )
    assert told(planned)[-1] == (
        "[2/2] computing depth: about 30 s, 700 MB, 1 thread, with max_side 800 to fit in memory"
    )
