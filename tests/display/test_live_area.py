"""What is painted again leaves nothing of itself behind, whatever happens to the terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import pytest
from rich.console import Console
from tests.display.test_run_board import GB, MIDDLE, NAMES
from tests.fakes.terminal import FakeTerminal

from insaat_cli.display.live_area import LiveArea
from insaat_cli.display.run_board import Board
from insaat_cli.runner.events import MemorySample, PhotosFound, RunEvent, StageWarning

WIDTHS = [(80, 50), (120, 44), (110, 109), (50, 120), (80, 80)]


class OnTerminal:
    """A board, the terminal that it is on, and the width that it was told of."""

    def __init__(self, width: int) -> None:
        self.terminal = FakeTerminal(width)
        self.console = Console(
            file=self.terminal, width=width, height=40, force_terminal=True, color_system=None
        )
        self.board = Board(self.console)

    def tell(self, width: int) -> None:
        self.console.width = width

    def run(self, events: Sequence[RunEvent] = MIDDLE) -> None:
        for event in events:
            self.board(event)
        self.paint()

    def paint(self) -> None:
        self.board._draw()

    def rows(self, text: str) -> list[str]:
        return [row for row in self.terminal.shown() if text in row]

    def assert_one_board(self) -> None:
        assert len(self.rows("30 photos")) == 1, "\n".join(self.terminal.shown())
        for name in NAMES:
            rows = [row for row in self.rows(f"doing {name}") if "sky" not in row]
            assert len(rows) == 1, "\n".join(self.terminal.shown())
        assert "30 photos" in self.terminal.shown()[0]


@pytest.mark.parametrize(("before", "after"), WIDTHS)
def test_resized_terminal_shows_one_board(before: int, after: int) -> None:
    on = OnTerminal(before)
    with on.board:
        on.run()
        on.terminal.resize(after)
        on.tell(after)
        on.paint()
        on.assert_one_board()
        on.paint()
    on.assert_one_board()


@pytest.mark.parametrize("painted_meanwhile", [1, 3])
@pytest.mark.parametrize(("before", "after"), WIDTHS[:3])
def test_board_that_learns_late_of_the_new_width(
    before: int, after: int, painted_meanwhile: int
) -> None:
    on = OnTerminal(before)
    with on.board:
        on.run()
        on.terminal.resize(after)
        for _ in range(painted_meanwhile):
            on.paint()
        on.tell(after)
        on.paint()
    on.assert_one_board()


def test_echo_of_ctrl_c_doubles_no_line() -> None:
    on = OnTerminal(80)
    with on.board:
        # Without a note below it the last line fills its row: ^C behind it would begin another.
        on.run([event for event in MIDDLE if not isinstance(event, StageWarning)])
        for _ in range(3):
            on.terminal.write("^C")
            on.paint()
    on.assert_one_board()
    assert not on.rows("^C")


def test_lines_said_meanwhile_stand_above_the_board() -> None:
    on = OnTerminal(60)
    with on.board:
        on.run()
        on.board(PhotosFound(used=2, left_out={"a.jpg": "a reason of so many words " * 4}))
        on.board(MemorySample(used_bytes=GB, peak_bytes=GB, budget_bytes=4 * GB))
    shown = on.terminal.shown()
    assert shown[0] == "1 file left out:"
    assert len(on.rows("30 photos")) == 1
    assert "".join(shown).count("a reason of so many words") == 4, "cut lines are for boards"


def test_terminal_that_is_too_low_shows_the_end_whole() -> None:
    terminal = FakeTerminal(40)
    console = Console(file=terminal, width=40, height=5, force_terminal=True, color_system=None)
    lines = [f"line {number}" for number in range(12)]
    with LiveArea(console) as area:
        area.show("\n".join(lines))
        assert terminal.shown() == lines[:4], "one row is the cursor's"
        area.show("\n".join(lines), whole=True)
    assert terminal.shown() == lines


def test_stderr_that_is_elsewhere_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = io.StringIO()
    monkeypatch.setattr("sys.stderr", elsewhere)
    terminal = FakeTerminal(40)
    with LiveArea(Console(file=terminal, width=40, force_terminal=True)):
        print("a warning", file=sys.stderr)
    assert elsewhere.getvalue() == "a warning\n"
    assert terminal.shown() == []
