"""Waking the worker's main thread: by its other threads, and by signals.

`threading.Event` will not do. It takes a lock, so a signal handler that sets one while the thread
that it interrupted is setting, clearing or awaiting it waits for that thread: for ever. Here a
handler only assigns, and the interpreter itself writes into a socket for every signal, whichever
thread the system delivers it to.
"""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

DRAINED_BYTES = 4096


class StopFlag:
    """Set once, by anybody; a signal handler may, because no lock is taken."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set


class Waker:
    """One thread waits, all others may wake it; a call that comes first is not lost."""

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)

    def set(self) -> None:
        """End the present wait, or the next."""
        with suppress(OSError):  # full: it will wake; closed: there is nobody to wake
            self._writing.send(b"\0")

    def wait(self, seconds: float) -> None:
        """Until `set` was called or a signal came since the last wait, or for `seconds`."""
        select.select([self._reading], [], [], max(seconds, 0.0))
        with suppress(BlockingIOError):
            while self._reading.recv(DRAINED_BYTES):
                pass

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let signals wake, too, while inside; only in the main thread."""
        before = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)

    def close(self) -> None:
        self._reading.close()
        self._writing.close()
