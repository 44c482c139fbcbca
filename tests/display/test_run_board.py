"""What the events add up to, and what the terminal shows of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from insaat_cli.display.run_board import Board, BoardState, draw
from insaat_cli.runner.events import (
    MemorySample,
    RunEvent,
    RunFinished,
    RunProgress,
    RunStarted,
    StageDegraded,
    StageFailed,
    StageFinished,
    StageOutline,
    StageProgress,
    StageSkipped,
    StageStarted,
    StageWarning,
)

GB = 1_000_000_000
NAMES = ["resize", "features", "dense", "export"]


def started(names: list[str] = NAMES) -> RunStarted:
    return RunStarted(
        pipeline="embedded",
        preset="normal",
        workspace=Path("out"),
        stages=tuple(StageOutline(name=name, title=f"doing {name}") for name in names),
        photos=30,
        memory_budget_bytes=4 * GB,
        threads=2,
    )


def stage_started(name: str) -> StageStarted:
    return StageStarted(
        stage=name,
        title=f"doing {name}",
        threads=2,
        attempt=1,
        predicted_bytes=GB,
        predicted_seconds=10.0,
        log=Path("x.log"),
    )


def stage_finished(name: str) -> StageFinished:
    return StageFinished(stage=name, title=f"doing {name}", seconds=12.0, peak_bytes=GB)


MIDDLE: list[RunEvent] = [
    started(),
    StageSkipped(stage="resize", title="doing resize"),
    stage_started("features"),
    stage_finished("features"),
    stage_started("dense"),
    StageProgress(stage="dense", share=0.4),
    StageWarning(stage="dense", text="sky\x1b[31m in\nview"),
    MemorySample(used_bytes=int(1.2 * GB), peak_bytes=2 * GB, budget_bytes=4 * GB),
    RunProgress(share=0.6, elapsed_seconds=34.0, seconds_left=125.0),
]


def drawn(events: list[RunEvent], *, width: int = 80, height: int | None = None) -> list[str]:
    state = BoardState()
    for event in events:
        state.take(event, now=100.0)
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    console.print(draw(state, width=width, height=height, now=107.0))
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_running_board(width: int) -> None:
    lines = drawn(MIDDLE, width=width)
    text = "\n".join(lines)
    assert lines[0].startswith("30 photos, pipeline embedded, preset normal, 2 threads")
    [resize] = [line for line in lines if "doing resize" in line]
    [features] = [line for line in lines if "doing features" in line]
    [dense] = [line for line in lines if "doing dense" in line and "sky" not in line]
    [export] = [line for line in lines if "doing export" in line]
    assert "reused" in resize
    assert features.split()[-4:] == ["12", "s", "1.0", "GB"]
    assert "40%" in dense
    assert "7.0 s" in dense
    assert export.split() == ["doing", "export", "export"]
    assert "60%  34 s elapsed  about 2:05 min left  memory 1.2 GB of 4.0 GB" in text
    assert all(len(line) <= width for line in lines)


def test_names_for_until_stand_beside_titles_where_there_is_room() -> None:
    [wide] = [line for line in drawn([started(["sparse"])], width=80) if "doing" in line]
    [narrow] = [line for line in drawn([started(["sparse"])], width=79) if "doing" in line]
    assert wide.split() == ["doing", "sparse", "sparse"]
    assert narrow.split() == ["doing", "sparse"]


def test_names_and_warnings_cannot_command_the_terminal() -> None:
    assert "sky\\x1b[31m in\\nview" in "\n".join(drawn(MIDDLE))


def test_finished_board_shows_the_peak() -> None:
    end = RunFinished(results=(), seconds=61.0, peak_bytes=3 * GB)
    text = "\n".join(drawn([*MIDDLE, stage_finished("dense"), end]))
    assert "100%  1:01 min elapsed  memory peak 3.0 GB of 4.0 GB" in text
    assert "left" not in text


def test_failed_stage_is_marked() -> None:
    failed = StageFailed(stage="dense", title="doing dense", message="m", hint="", log=None)
    [line] = [line for line in drawn([*MIDDLE, failed]) if line.startswith("✗")]
    assert "doing dense" in line


def test_lowered_settings_are_told() -> None:
    event = StageDegraded(stage="dense", reason="memory", changes={"max_side": 800})
    text = "\n".join(drawn([*MIDDLE, event]))
    assert "doing dense: retrying with max_side 800: memory" in text


def test_short_terminal_keeps_the_running_stage_in_view() -> None:
    names = [f"stage{number}" for number in range(30)]
    lines = drawn([started(names), stage_started("stage20")], height=14)
    assert len(lines) <= 14
    assert any("doing stage20" in line for line in lines)


@pytest.mark.parametrize("width", [30, 50, 69, 70])
def test_narrow_terminal_is_not_overrun(width: int) -> None:
    assert all(len(line) <= width for line in drawn(MIDDLE, width=width))


def test_ascii_terminal_gets_ascii() -> None:
    state = BoardState()
    for event in MIDDLE:
        state.take(event, now=100.0)
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)
    console.print(draw(state, width=80, height=None, now=107.0, ascii_only=True))
    stream.flush()
    assert b"+ doing features" in raw.getvalue()


def test_live_board_ends_with_the_whole_board() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, height=10, force_terminal=True, color_system=None)
    with Board(console) as board:
        for event in MIDDLE:
            board(event)
    end = stream.getvalue().rsplit("30 photos", 1)[1]
    assert all(f"doing {name}" in end for name in NAMES)
