"""A wish to stop, from Ctrl-C, SIGTERM or a caller, that the runner looks at between steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from insaat_cli.errors import ExitCode

CODE_OF_SIGNAL = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.TERMINATED,
}


class StopRequest:
    """Not asked, asked (`code` is set), or asked twice: then stages are killed at once."""

    def __init__(self) -> None:
        self.code: ExitCode | None = None
        self.urgent = False

    def ask(self, code: ExitCode) -> None:
        self.urgent = self.code is not None
        self.code = code

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let the signals that end programs ask, while inside; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: FrameType | None) -> None:
            self.ask(CODE_OF_SIGNAL[signal.Signals(number)])

        before = {number: signal.signal(number, handle) for number in CODE_OF_SIGNAL}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
