"""Requests side by side, which can be left at any moment.

A pool of the standard library is joined when it ends, and again when the program does: one request
that hangs would hold up a worker that was told to stop. These threads are daemons.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

LOOK_S = 0.2
"""Between calls of `check` while requests are under way."""
PARTING_S = 1.0
"""For requests that notice themselves that they should stop."""
Check = Callable[[], None]
"""Called often while something is transferred; raises to stop it."""


def no_check() -> None:
    """Nothing to stop for."""


def in_parallel(actions: Iterable[Callable[[], None]], *, threads: int, check: Check) -> None:
    """Do all `actions`, or raise what the first that failed raised; then no other is begun.

    What `check` raises ends it as well; actions that are then still under way are left behind."""
    waiting = deque(actions)
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    stopped = threading.Event()
    number = len(waiting)

    def work() -> None:
        while not stopped.is_set():
            try:
                action = waiting.popleft()
            except IndexError:
                return
            try:
                action()
            except BaseException as error:
                ended.put(error)
            else:
                ended.put(None)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, number))]
    try:
        for worker in workers:
            worker.start()
        for _ in range(number):
            fault = _next(ended, check)
            if fault is not None:
                raise fault
    finally:
        stopped.set()
        deadline = time.monotonic() + PARTING_S
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))


def _next(ended: queue.SimpleQueue[BaseException | None], check: Check) -> BaseException | None:
    while True:
        try:
            return ended.get(timeout=LOOK_S)
        except queue.Empty:
            check()
