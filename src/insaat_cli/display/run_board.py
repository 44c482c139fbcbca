"""The live board: every stage, where the run stands, how long it takes, what memory it uses.

`BoardState` is what the events so far add up to; `Board` draws it on a terminal.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from insaat_cli.display.live_area import SPARE_ROWS, LiveArea
from insaat_cli.display.plain_lines import degraded_words, left_out_lines, run_words
from insaat_cli.formatting import duration, printable, size
from insaat_cli.runner.events import (
    MemorySample,
    PhotosFound,
    RunEvent,
    RunFinished,
    RunProgress,
    RunStarted,
    StageDegraded,
    StageFailed,
    StageFinished,
    StageProgress,
    StageSkipped,
    StageStarted,
    StageWarning,
)

REDRAW_EVERY_S = 0.1
NARROW_COLUMNS = 70
NAMED_COLUMNS = 80
"""From here on there is room for the names that --from, --until and --set take."""
WIDEST_COLUMNS = 110
LINES_AROUND_STAGES = 6
"""Header, the whole run's two lines, empty lines."""
NOTES_SHOWN = 4


class Status(Enum):
    """A stage on the board, with its sign in Unicode and in ASCII, and its style."""

    WAITING = (" ", " ", "dim")
    RUNNING = ("●", ">", "bold cyan")
    DONE = ("✓", "+", "green")
    SKIPPED = ("↷", "=", "green")
    FAILED = ("✗", "x", "bold red")

    @property
    def style(self) -> str:
        return str(self.value[2])

    def sign(self, ascii_only: bool) -> str:
        return str(self.value[1 if ascii_only else 0])


@dataclass
class StageRow:
    """One line of the board."""

    name: str
    title: str
    status: Status = Status.WAITING
    share: float = 0.0
    started: float = 0.0
    """Monotonic seconds."""
    seconds: float = 0.0
    peak_bytes: int = 0


@dataclass
class BoardState:
    """What the events so far add up to."""

    header: str = ""
    rows: dict[str, StageRow] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    share: float = 0.0
    elapsed_s: float = 0.0
    left_s: float | None = None
    used_bytes: int = 0
    peak_bytes: int = 0
    budget_bytes: int = 0

    def take(self, event: RunEvent, now: float) -> None:
        """Add one event, which arrived at monotonic second `now`."""
        match event:
            case RunStarted():
                self.header = run_words(event)
                self.budget_bytes = event.memory_budget_bytes
                self.rows = {
                    stage.name: StageRow(name=printable(stage.name), title=printable(stage.title))
                    for stage in event.stages
                }
            case RunProgress():
                self.share = event.share
                self.elapsed_s = event.elapsed_seconds
                self.left_s = event.seconds_left
            case MemorySample():
                self.used_bytes = event.used_bytes
                self.peak_bytes = event.peak_bytes
                self.budget_bytes = event.budget_bytes
            case RunFinished():
                self.share, self.left_s, self.used_bytes = 1.0, None, 0
                self.elapsed_s, self.peak_bytes = event.seconds, event.peak_bytes
            case _:
                self._take_of_stage(event, now)

    def _take_of_stage(self, event: RunEvent, now: float) -> None:
        row = self.rows.get(getattr(event, "stage", ""))
        if row is None:
            return
        match event:
            case StageStarted():
                row.status, row.share, row.started = Status.RUNNING, 0.0, now
            case StageProgress():
                row.share = event.share
            case StageSkipped():
                row.status = Status.SKIPPED
            case StageFailed():
                row.status, row.seconds = Status.FAILED, now - row.started
            case StageFinished():
                row.status, row.share = Status.DONE, 1.0
                row.seconds, row.peak_bytes = event.seconds, event.peak_bytes
            case StageWarning():
                self.notes.append(f"{row.title}: {printable(event.text)}")
            case StageDegraded():
                self.notes.append(f"{row.title}: {degraded_words(event)}")


class Board:
    """A listener that draws the board; use as a context manager around the run."""

    def __init__(self, console: Console) -> None:
        self.state = BoardState()
        self._console = console
        self._area = LiveArea(console)
        self._drawn = 0.0

    def __enter__(self) -> Board:
        self._area.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draw(whole=True)
        self._area.__exit__(kind, error, trace)

    def __call__(self, event: RunEvent) -> None:
        if isinstance(event, PhotosFound):
            for line in left_out_lines(event, whole=False):
                self._console.print(Text(line, style="yellow"))
        now = time.monotonic()
        self.state.take(event, now)
        if now - self._drawn >= REDRAW_EVERY_S:
            self._draw()

    def _draw(self, *, whole: bool = False) -> None:
        self._drawn = time.monotonic()
        height = None if whole else self._console.height - SPARE_ROWS
        board = draw(
            self.state,
            width=self._console.width,
            height=height,
            now=self._drawn,
            ascii_only=self._console.options.ascii_only,
        )
        self._area.show(board, whole=whole)


def draw(
    state: BoardState, *, width: int, height: int | None, now: float, ascii_only: bool = False
) -> RenderableType:
    """The board of `width` columns; at most `height` lines, the stages at work among them."""
    if not state.rows:
        return Text("")
    width = min(width, WIDEST_COLUMNS)
    notes = state.notes[-NOTES_SHOWN:] if height else state.notes
    space = None if height is None else height - LINES_AROUND_STAGES - len(notes)
    rows = _visible(list(state.rows.values()), space)
    parts: list[RenderableType] = [
        Text(state.header, style="dim", no_wrap=True, overflow="ellipsis"),
        Text(""),
        _stage_table(rows, width, now, ascii_only),
        Text(""),
        _whole_run(state, width),
    ]
    parts += [
        Text(f"{'!' if ascii_only else '⚠'} {note}", style="yellow", overflow="ellipsis")
        for note in notes
    ]
    return Constrain(Group(*parts), width)


def _visible(rows: list[StageRow], space: int | None) -> list[StageRow]:
    if space is None or len(rows) <= space:
        return rows
    space = max(space, 1)
    at_work = [i for i, row in enumerate(rows) if row.status in (Status.RUNNING, Status.FAILED)]
    done = [i for i, row in enumerate(rows) if row.status is not Status.WAITING]
    middle = (at_work or done or [0])[0]
    first = min(max(0, middle - space // 2), len(rows) - space)
    return rows[first : first + space]


def _stage_table(rows: list[StageRow], width: int, now: float, ascii_only: bool) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(ratio=5, no_wrap=True, overflow="ellipsis")
    bar_shown, named = width >= NARROW_COLUMNS, width >= NAMED_COLUMNS
    if named:
        table.add_column(no_wrap=True, style="dim")
    if bar_shown:
        table.add_column(ratio=3)
    table.add_column(justify="right", width=6)
    table.add_column(justify="right", width=9, no_wrap=True)
    table.add_column(justify="right", width=8, no_wrap=True)
    for row in rows:
        running = row.status is Status.RUNNING
        seconds = now - row.started if running else row.seconds
        bar = ProgressBar(total=1.0, completed=row.share) if running else Text("")
        words = "reused" if row.status is Status.SKIPPED else ""
        timed = row.status in (Status.RUNNING, Status.DONE, Status.FAILED)
        cells: list[RenderableType] = [
            Text(row.status.sign(ascii_only), style=row.status.style),
            Text(row.title, style=row.status.style if row.status is not Status.DONE else ""),
            *([Text(row.name)] if named else []),
            *([bar] if bar_shown else []),
            Text(f"{row.share:.0%}" if running else words, style="dim" if words else ""),
            Text(duration(seconds) if timed else ""),
            Text(size(row.peak_bytes) if row.peak_bytes else "", style="dim"),
        ]
        table.add_row(*cells)
    return table


def _whole_run(state: BoardState, width: int) -> RenderableType:
    left = "" if state.left_s is None else f"about {duration(state.left_s)} left"
    words = [f"{state.share:.0%}", f"{duration(state.elapsed_s)} elapsed", left]
    memory = f"memory {size(state.used_bytes)} of {size(state.budget_bytes)}"
    if not state.used_bytes:
        memory = f"memory peak {size(state.peak_bytes)} of {size(state.budget_bytes)}"
    line = Text("  ".join(word for word in (*words, memory) if word), style="bold")
    line.no_wrap, line.overflow = True, "ellipsis"
    bar = ProgressBar(total=1.0, completed=state.share, width=max(10, width - 2))
    return Group(Padding(bar, (0, 1)), Padding(line, (0, 1)))
