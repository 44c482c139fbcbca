"""The last lines of a terminal, painted again and again, and found again after it was resized."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from threading import RLock
from types import TracebackType

from rich.console import (
    Console,
    ConsoleOptions,
    ConsoleRenderable,
    RenderableType,
    RenderHook,
    RenderResult,
)
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.segment import ControlType, Segment

SPARE_ROWS = 1
"""Below the area, for the cursor: what the terminal echoes there (^C) moves no line of it."""
WRAP_OFF, WRAP_ON = "\x1b[?7l", "\x1b[?7h"
"""DECAWM: whether what is too long for a row goes on in the next, or is cut."""


class LiveArea(RenderHook):
    """A context manager; what is printed on `console` meanwhile stands above the area.

    Terminals break the lines they hold anew when they get narrower, all but xterm and the Linux
    console. So a line is erased in as many rows as it takes at the width of now, and it is written
    without blanks at its end, which would be broken, too. (`rich.live.Live` erases one row a line.)

    A terminal may get narrower before we are told (tmux: up to 0.25 s). What is painted meanwhile,
    for the old width, is cut and not wrapped, so that it takes one row a line: with the rows that
    it failed to erase above it, as many as if it had not been painted at all.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = RLock()
        self._content: RenderableType | None = None
        self._whole = False
        self._widths: list[int] = []
        """Columns of each line that stands on the terminal."""
        self._redirected = ExitStack()

    def __enter__(self) -> LiveArea:
        self._console.show_cursor(False)
        self._console.push_render_hook(self)
        # What a library prints, on the same terminal, stands above the area, too.
        if sys.stdout.isatty():
            self._redirected.enter_context(redirect_stdout(FileProxy(self._console, sys.stdout)))
        if sys.stderr.isatty():
            self._redirected.enter_context(redirect_stderr(FileProxy(self._console, sys.stderr)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._redirected.close()
        self._console.pop_render_hook()
        self._console.show_cursor(True)

    def show(self, content: RenderableType, *, whole: bool = False) -> None:
        """Put `content` in place of what stands there; `whole` even where it overruns the terminal,
        whose top part can then not be painted again."""
        with self._lock:
            self._content, self._whole = content, whole
            self._console.print(Control())

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Called by rich for all that is printed: erase, print it, paint the area below it."""
        with self._lock:
            erased = self._erased()
            return [erased, *renderables, _Painted(self)]

    def _erased(self) -> Control:
        width = max(self._console.width, 1)
        rows = sum(max(1, -(-columns // width)) for columns in self._widths)
        row_up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
        return Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *row_up * rows)

    def paint(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """The segments of the area, line by line, and what is to be known to erase it."""
        lines: list[list[Segment]] = []
        if self._content is not None:
            found = console.render_lines(self._content, options, pad=False)
            lines = [_without_blanks_at_end(line) for line in found]
        if not self._whole:
            lines = lines[: max(0, options.size.height - SPARE_ROWS)]
        self._widths = [Segment.get_line_length(line) for line in lines]
        yield _command(WRAP_OFF)
        for line in lines:
            yield from line
            yield Segment.line()
        yield _command(WRAP_ON)


class _Painted:
    def __init__(self, area: LiveArea) -> None:
        self._area = area

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._area.paint(console, options)


def _command(code: str) -> Segment:
    """A code that rich has no name for: that of another marks it as no text."""
    return Segment(code, None, [(ControlType.BELL,)])


def _without_blanks_at_end(line: list[Segment]) -> list[Segment]:
    kept = list(line)
    while kept and not kept[-1].text.rstrip(" "):
        kept.pop()
    if kept:
        kept[-1] = kept[-1]._replace(text=kept[-1].text.rstrip(" "))
    return kept
