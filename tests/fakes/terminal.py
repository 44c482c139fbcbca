"""A terminal that breaks its lines anew when its width changes, as tmux, VTE and kitty do."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

TOKEN = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]|.", re.DOTALL)


@dataclass
class _Row:
    text: str = ""
    goes_on: bool = False
    """In the next row, because the line was too long for this one."""


class FakeTerminal(io.StringIO):
    """Endless downwards. What programs write to it, and what it then shows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self._rows = [_Row()]
        self._row = self._column = 0
        self._wraps = True

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for token in TOKEN.findall(text):
            self._take(token)
        return len(text)

    def shown(self) -> list[str]:
        """The rows down to the last that is not empty."""
        rows = [row.text.rstrip() for row in self._rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def resize(self, width: int) -> None:
        """The cursor stays on its character."""
        rows: list[_Row] = []
        line, cursor = "", None
        for number, row in enumerate(self._rows):
            if number == self._row:
                cursor = len(line) + self._column
            line += row.text.ljust(self.width) if row.goes_on else row.text
            if row.goes_on:
                continue
            pieces = [line[at : at + width] for at in range(0, max(len(line), 1), width)]
            if cursor is not None:
                self._row = len(rows) + min(cursor // width, len(pieces) - 1)
                self._column = cursor % width
            rows += [_Row(piece, goes_on=True) for piece in pieces]
            rows[-1].goes_on = False
            line, cursor = "", None
        self._rows, self.width = rows, width

    def _take(self, token: str) -> None:
        match token:
            case "\r":
                self._column = 0
            case "\n":  # the line discipline makes \r\n of it
                self._down()
            case "\x1b[2K":
                self._rows[self._row] = _Row()
            case "\x1b[?7l" | "\x1b[?7h":
                self._wraps = token.endswith("h")
            case _ if token.endswith("A") and token.startswith("\x1b"):
                self._row = max(0, self._row - int(token[2:-1] or 1))
            case _ if not token.startswith("\x1b"):
                self._put(token)

    def _put(self, character: str) -> None:
        if self._column >= self.width:
            if self._wraps:
                self._rows[self._row].goes_on = True
                self._down()
            else:
                self._column = self.width - 1
        row = self._rows[self._row]
        text = row.text.ljust(self._column)
        row.text = text[: self._column] + character + text[self._column + 1 :]
        self._column += 1

    def _down(self) -> None:
        self._row, self._column = self._row + 1, 0
        if self._row == len(self._rows):
            self._rows.append(_Row())
