"""The live board of many photo sets: one line each, and the memory of all together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from insaat_cli.display.live_area import SPARE_ROWS, LiveArea
from insaat_cli.display.run_board import NARROW_COLUMNS, WIDEST_COLUMNS, BoardState, Status
from insaat_cli.formatting import counted, duration, printable, size
from insaat_cli.runner.events import MemorySample, RunEvent, RunFailed, RunFinished

REDRAW_EVERY_S = 0.2
LINES_AROUND_SETS = 3


class BatchState:
    """What the events so far add up to, by photo set."""

    def __init__(self, names: Sequence[str]) -> None:
        self.sets = {name: BoardState() for name in names}
        self.status = dict.fromkeys(names, Status.WAITING)
        self.used_bytes = self.peak_bytes = self.budget_bytes = 0

    def take(self, name: str, event: RunEvent, now: float) -> None:
        """Add one event, which arrived at monotonic second `now`."""
        if not name:
            if isinstance(event, MemorySample):
                self.used_bytes, self.peak_bytes = event.used_bytes, event.peak_bytes
                self.budget_bytes = event.budget_bytes
            return
        self.sets[name].take(event, now)
        if isinstance(event, RunFinished):
            self.status[name] = Status.DONE
        elif isinstance(event, RunFailed):
            self.status[name] = Status.FAILED
        elif any(row.status is Status.RUNNING for row in self.sets[name].rows.values()):
            self.status[name] = Status.RUNNING

    def doing(self, name: str) -> str:
        """The stages at work, or how it ended."""
        if self.status[name] is Status.DONE:
            return "done"
        rows = self.sets[name].rows.values()
        wanted = Status.FAILED if self.status[name] is Status.FAILED else Status.RUNNING
        titles = [row.title for row in rows if row.status is wanted]
        if self.status[name] is Status.FAILED:
            return f"failed: {titles[0]}" if titles else "failed"
        return ", ".join(titles) or "waiting"

    def ended(self) -> int:
        return sum(status in (Status.DONE, Status.FAILED) for status in self.status.values())


class BatchBoard:
    """A listener that draws the board; use as a context manager around the batch."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self.state = BatchState(names)
        self._console = console
        self._area = LiveArea(console)
        self._drawn = self._started = time.monotonic()

    def __enter__(self) -> BatchBoard:
        self._area.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draw(height=None)
        self._area.__exit__(kind, error, trace)

    def __call__(self, name: str, event: RunEvent) -> None:
        now = time.monotonic()
        self.state.take(name, event, now)
        if now - self._drawn >= REDRAW_EVERY_S:
            self._draw(height=self._console.height - SPARE_ROWS)

    def _draw(self, *, height: int | None) -> None:
        self._drawn = time.monotonic()
        elapsed = self._drawn - self._started
        board = draw_batch(
            self.state,
            width=self._console.width,
            height=height,
            elapsed_s=elapsed,
            ascii_only=self._console.options.ascii_only,
        )
        self._area.show(board, whole=height is None)


def draw_batch(
    state: BatchState,
    *,
    width: int,
    height: int | None,
    elapsed_s: float,
    ascii_only: bool = False,
) -> RenderableType:
    """The board; in at most `height` lines those that run come first."""
    width = min(width, WIDEST_COLUMNS)
    names = list(state.sets)
    if height is not None and len(names) > height - LINES_AROUND_SETS:
        running = (Status.RUNNING, Status.FAILED)
        names.sort(key=lambda name: state.status[name] not in running)
        names = names[: max(1, height - LINES_AROUND_SETS)]
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(ratio=2, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
    if width >= NARROW_COLUMNS:
        table.add_column(ratio=2)
    table.add_column(justify="right", width=4)
    table.add_column(justify="right", width=8, no_wrap=True)
    for name in names:
        table.add_row(*_cells(state, name, width >= NARROW_COLUMNS, ascii_only))
    used = f"memory {size(state.used_bytes)} of {size(state.budget_bytes)}, "
    words = (
        f"{state.ended()} of {counted(len(state.sets), 'photo set')} over  "
        f"{duration(elapsed_s)} elapsed  {used}peak {size(state.peak_bytes)}"
    )
    line = Text(words, style="bold", no_wrap=True, overflow="ellipsis")
    return Constrain(Group(table, Text(""), line), width)


def _cells(state: BatchState, name: str, bar: bool, ascii_only: bool) -> list[RenderableType]:
    own, status = state.sets[name], state.status[name]
    running = status is Status.RUNNING
    share = f"{own.share:.0%}" if running else ""
    return [
        Text(status.sign(ascii_only), style=status.style),
        Text(printable(name), style=status.style if running else ""),
        Text(state.doing(name), style="" if running else "dim"),
        *([ProgressBar(total=1.0, completed=own.share) if running else Text("")] if bar else []),
        Text(share),
        Text(size(own.peak_bytes) if own.peak_bytes else "", style="dim"),
    ]
