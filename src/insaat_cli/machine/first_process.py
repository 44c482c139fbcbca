"""The first process of a container, which inherits every orphan and must bury it.

A kernel gives the children of a dead process to process 1 of their namespace. A program that only
waits for its own children leaves them as zombies, each of which holds a process number. So where
insaat is started as process 1 it goes on as a child, and process 1 does nothing but wait for
whatever ends and hand on the signals that it gets.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

FROM_TERMINAL = 128
"""SI_KERNEL: the terminal sends Ctrl-C and the like to the child, too."""
OPEN_FILES = 1024
OWN_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}


def go_on_below_the_first() -> None:
    """Return in a child where this process is number 1; elsewhere at once. Call it before threads
    are started."""
    if sys.platform == "linux" and os.getpid() == 1:
        leave_the_waiting_to_the_parent()


def leave_the_waiting_to_the_parent() -> None:
    """Return in a new child. The parent waits for it, and ends with its exit code."""
    assert sys.platform == "linux"
    signals = signal.valid_signals() - OWN_FAULTS - {signal.SIGKILL, signal.SIGSTOP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os.closerange(3, OPEN_FILES)  # what the child was handed is none of the parent's business
    while (code := _ended(child)) is None:
        came = signal.sigwaitinfo(signals)
        if came.si_signo != signal.SIGCHLD and came.si_code != FROM_TERMINAL:
            with suppress(ProcessLookupError):
                os.kill(child, came.si_signo)
    os._exit(code)


def _ended(child: int) -> int | None:
    """Bury all that has ended; the exit code of `child` if it has, 128 + N for signal N."""
    code = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                ended = os.waitstatus_to_exitcode(status)
                code = ended if ended >= 0 else 128 - ended
    return code
