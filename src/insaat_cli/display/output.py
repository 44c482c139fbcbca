"""What the user sees of a run: a board, plain lines, JSON lines, or nothing but errors."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from insaat_cli.display.json_lines import JsonLines
from insaat_cli.display.plain_lines import PlainLines
from insaat_cli.display.standard_streams import fault_of
from insaat_cli.errors import InsaatError
from insaat_cli.formatting import printable, without_passwords

if TYPE_CHECKING:
    from insaat_cli.reconstruction.batch import SetListener
    from insaat_cli.runner.events import Listener, RunEvent


class Display(StrEnum):
    """How a command talks."""

    NORMAL = "normal"
    VERBOSE = "verbose"
    QUIET = "quiet"
    JSON = "json"


class Output:
    """The channels of one command: results on stdout, errors on stderr, JSON alone on stdout."""

    def __init__(self, display: Display, *, details: bool = False) -> None:
        self.display = display
        self.details = details
        quiet = display in (Display.QUIET, Display.JSON)
        self.out = Console(highlight=False, soft_wrap=True, quiet=quiet)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self._json = JsonLines(sys.stdout)

    @property
    def is_json(self) -> bool:
        return self.display is Display.JSON

    @property
    def is_silent(self) -> bool:
        return self.display is Display.QUIET

    @property
    def is_heard(self) -> bool:
        """Whether what is said on stdout still gets anywhere."""
        return fault_of(sys.stdout) is None

    @property
    def _can_draw(self) -> bool:
        """Whether stdout is a terminal that can paint over what it shows. Neither is one of
        TERM=dumb, nor a log whose colors were forced (FORCE_COLOR)."""
        return self.out.is_interactive and self.out.file.isatty()

    def line(self, text: str = "", style: str = "") -> None:
        """One line for people; names in it must be `printable`."""
        self.out.print(Text(text, style=style))

    def json(self, fields: dict[str, object]) -> None:
        """One JSON line, under --json only."""
        if self.is_json:
            self._json.write(fields)

    @contextmanager
    def listening(self, *, board: bool = True) -> Iterator[Listener]:
        """The listener to hand to a run; `board` False where there is nothing to watch."""
        match self.display:
            case Display.JSON:
                yield self._json
            case Display.QUIET:
                yield _ignore
            case Display.NORMAL if board and self._can_draw:
                from insaat_cli.display.run_board import Board

                with Board(Console(highlight=False)) as live:
                    yield live
            case _:
                verbose = self.display is Display.VERBOSE
                yield PlainLines(self.line, verbose=verbose)

    @contextmanager
    def listening_to_all(self, names: Sequence[str]) -> Iterator[SetListener]:
        """The listener to hand to a batch of photo sets."""
        match self.display:
            case Display.JSON:
                yield self._json.of_set
            case Display.QUIET:
                yield lambda name, event: None
            case Display.NORMAL if self._can_draw:
                from insaat_cli.display.batch_board import BatchBoard

                usual, self.out = self.out, Console(highlight=False)
                try:  # lines told meanwhile stand above the board
                    with BatchBoard(self.out, names) as live:
                        yield live
                finally:
                    self.out = usual
            case _:
                yield self._named_lines(names)

    def _named_lines(self, names: Sequence[str]) -> SetListener:
        """Plain lines, each behind the name of its photo set."""
        verbose = self.display is Display.VERBOSE

        def lines_of(name: str) -> PlainLines:
            return PlainLines(lambda text: self.line(f"{printable(name)}: {text}"), verbose=verbose)

        lines = {name: lines_of(name) for name in names}
        return lambda name, event: lines[name](event) if name else None

    def error(self, error: InsaatError) -> None:
        """One paragraph: what happened, where, what to try, where the log is."""
        self.json(error_fields(error))
        self.errors.print(error_text(error))

    def bug(self, error: Exception, log: Path | None) -> None:
        """A fault that nobody expected: short, unless the user asked for more, or there is no log
        that tells more."""
        words = without_passwords(f"{type(error).__name__}: {error}")
        where = str(log) if log else None
        self.json({"event": "error", "code": 1, "message": printable(words), "log": where})
        text = Text("insaat: ", style="bold red")
        text.append("this is a bug in insaat", style="bold")
        report = f"the file {printable(where)}" if where else "what follows"
        text.append(f"; {printable(words)}\n  please report it with {report}")
        self.errors.print(text)
        if self.details or log is None:
            self.errors.print(Text(without_passwords("".join(traceback.format_exception(error)))))


def error_text(error: InsaatError) -> Text:
    """The paragraph of an expected fault."""
    text = Text("insaat: ", style="bold red")
    lines = error.message.splitlines() or [""]
    where = f" (stage {error.stage})" if error.stage else ""
    text.append(printable(lines[0]) + where, style="bold")
    for line in lines[1:]:
        text.append("\n" + printable(line))
    if error.hint:
        first, *others = error.hint.splitlines()
        text.append("\n  try: ", style="cyan").append(printable(first))
        for line in others:
            text.append("\n       " + printable(line))
    if error.log:
        text.append("\n  log: ", style="cyan").append(printable(str(error.log)))
    return text


def error_fields(error: InsaatError) -> dict[str, object]:
    """The same fault for a program."""
    return {
        "event": "error",
        "code": int(error.code),
        "kind": type(error).__name__,
        "message": error.message,
        "stage": error.stage or None,
        "hint": error.hint or None,
        "log": str(error.log) if error.log else None,
    }


def _ignore(event: RunEvent) -> None:
    """Say nothing."""
