"""stdout and stderr that outlast their readers: work goes on, whatever becomes of its words.

A reader that goes away (`| head -1`) is no fault and is not mentioned. Any other failure to write,
such as a full disk, is said once on stderr. Nothing that prints needs to know of either.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

READER_LEFT = (errno.EPIPE, errno.ECONNRESET)
STDOUT, STDERR = 1, 2


class Outlet(io.RawIOBase):
    """A descriptor to write to; after its first `fault`, told to `report`, it swallows all."""

    def __init__(self, descriptor: int, name: str, report: Callable[[OSError], None]) -> None:
        super().__init__()
        self.name = name
        self.fault: OSError | None = None
        self._descriptor = descriptor
        self._report = report

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        while self.fault is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # whoever shares the terminal with us made it non-blocking
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.fault = error
                self._report(error)
        return memoryview(data).nbytes


def outlast_readers() -> None:
    """Put an `Outlet` under sys.stdout and sys.stderr; for the entry point of the program.

    Characters that their encoding lacks are escaped, not an error. A stream that was closed before
    the program began (`>&-`) leads nowhere: its number must not fall to the next file opened,
    into which every library that prints would then write.
    """
    for descriptor in (0, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = _lasting(sys.stdout, STDOUT, "<stdout>", _say_on_stderr)
    sys.stderr = _lasting(sys.stderr, STDERR, "<stderr>", lambda error: None)


def fault_of(stream: TextIO) -> OSError | None:
    """Why nothing can be written to `stream` any more; None while all is well."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.fault if isinstance(raw, Outlet) else None


def is_reader_gone(fault: OSError) -> bool:
    """Whether nobody reads on, as opposed to output that somebody wants and does not get."""
    return fault.errno in READER_LEFT


def _lasting(
    stream: TextIO | None, descriptor: int, name: str, report: Callable[[OSError], None]
) -> TextIO:
    """A stream like `stream`, which may be None, on an Outlet."""
    outlet = io.BufferedWriter(Outlet(descriptor, name, report))
    if not isinstance(stream, io.TextIOWrapper):
        return io.TextIOWrapper(outlet, encoding="utf-8", errors="backslashreplace")
    return io.TextIOWrapper(
        outlet,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _say_on_stderr(error: OSError) -> None:
    if not is_reader_gone(error):
        print(
            f"insaat: cannot write to stdout: {error.strerror}; continuing without it",
            file=sys.stderr,
            flush=True,
        )
