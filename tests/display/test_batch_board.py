"""The board of many photo sets, drawn without a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from insaat_cli.display.batch_board import BatchBoard, BatchState, draw_batch
from insaat_cli.display.run_board import Status
from insaat_cli.runner.events import (
    MemorySample,
    RunFailed,
    RunFinished,
    RunProgress,
    RunStarted,
    StageFailed,
    StageOutline,
    StageStarted,
)

STARTED = RunStarted(
    pipeline="fake",
    preset="draft",
    workspace=Path("/out"),
    stages=(StageOutline(name="one", title="doing one"),),
    photos=4,
    memory_budget_bytes=3_000_000_000,
    threads=2,
)
ONE = StageStarted(
    stage="one",
    title="doing one",
    threads=1,
    attempt=1,
    predicted_bytes=1,
    predicted_seconds=1.0,
    log=Path("/out/log"),
)


def batch_of(count: int) -> BatchState:
    """The first failed, the second is done, the third runs, the others wait."""
    state = BatchState([f"set{number}" for number in range(count)])
    for number in range(3):
        state.take(f"set{number}", STARTED, 0.0)
        state.take(f"set{number}", ONE, 0.0)
    failed = StageFailed(stage="one", title="doing one", message="no", hint="", log=None)
    state.take("set0", failed, 1.0)
    state.take("set0", RunFailed(code=5, message="no", hint="", stage="one", log=None), 1.0)
    state.take("set1", RunFinished(results=(), seconds=3.0, peak_bytes=400_000_000), 1.0)
    state.take("set2", RunProgress(share=0.4, elapsed_seconds=4.0, seconds_left=6.0), 1.0)
    sample = MemorySample(used_bytes=10**9, peak_bytes=2 * 10**9, budget_bytes=3 * 10**9)
    state.take("", sample, 1.0)
    return state


def drawn(
    state: BatchState, width: int, height: int | None = None, ascii_only: bool = False
) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(
            draw_batch(state, width=width, height=height, elapsed_s=5.0, ascii_only=ascii_only)
        )
    return capture.get()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_it_shows_every_set_and_never_more_than_the_width(width: int) -> None:
    lines = drawn(batch_of(5), width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert len(lines) == 7
    assert "set4" in lines[4]
    if width >= 80:
        assert "failed: doing one" in lines[0]
        assert "400 MB" in lines[1]
        assert "40%" in lines[2]
        assert "waiting" in lines[4]
        assert "2 of 5 photo sets over" in lines[-1]
        assert "memory 1.0 GB of 3.0 GB, peak 2.0 GB" in lines[-1]


def test_on_a_low_terminal_those_at_work_come_first() -> None:
    state = batch_of(50)
    lines = drawn(state, 80, height=6).splitlines()
    assert len(lines) <= 6
    assert "set0" in lines[0]
    assert "set2" in lines[1]
    assert state.status["set2"] is Status.RUNNING


def test_ascii_only() -> None:
    assert drawn(batch_of(3), 60, ascii_only=True).startswith("x set0")


def test_the_board_ends_whole() -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=True)
    with BatchBoard(console, ["a", "b"]) as board:
        board("a", STARTED)
        board("a", RunFinished(results=(), seconds=1.0, peak_bytes=10**8))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 of 2 photo sets over" in text
