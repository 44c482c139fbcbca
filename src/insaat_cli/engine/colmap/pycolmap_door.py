"""The one place that imports pycolmap. Take it from here: `from …pycolmap_door import pycolmap`.

Two of its habits must be known to whoever uses it:

- Its import puts glog's handlers over SIGTERM and every signal of a crash. They unwind and print
  stacks while other threads go on, and may wait for a lock for ever: a stage that was told to stop
  runs on, one that crashed never ends. The door leaves every signal as it was.
- It brings a copy of SQLite of its own. POSIX locks belong to a process, not to a library: as soon
  as one copy closes a file, the locks of the other on the same file are gone, and readers and
  writers walk into each other (SIGBUS, torn tables). Python's `sqlite3`, and `open_database` with
  it, must never have a database open while pycolmap has it. A module that uses pycolmap therefore
  reads databases by `pycolmap.Database`, and imports neither; `test_pycolmap_door.py`
  holds it to that.
"""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator
from contextlib import contextmanager

# Its zlib has to come after everyone else's; see there.
from insaat_cli import engine

SIGACTION_BYTES = 1024
"""More than any system's struct sigaction takes."""


@contextmanager
def signals_kept() -> Iterator[None]:
    """What each signal does afterwards is what it did before, whatever libraries did meanwhile.

    Python's `signal` knows only what Python has set; faulthandler's handlers and a library's are
    the C library's to tell.
    """
    libc = ctypes.CDLL(None)
    before = {number: ctypes.create_string_buffer(SIGACTION_BYTES) for number in signal.Signals}
    for number, action in before.items():
        libc.sigaction(int(number), None, action)
    try:
        yield
    finally:
        for number, action in before.items():
            libc.sigaction(int(number), action, None)  # KILL and STOP refuse: nobody took them


with signals_kept():
    import pycolmap

__all__ = ["engine", "pycolmap"]
