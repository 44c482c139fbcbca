"""The small process that stands between the runner and a stage, and outlives neither.

    python -I -S guard.py LIFELINE NETWORK COMMAND…

LIFELINE is the reading end of a pipe that only the runner holds open. When the runner is gone, in
whatever way, the pipe ends and the guard kills its whole process group, grandchildren too. The
status of the command is handed on, 128 + N for signal N. NETWORK says whether the command may reach
beyond this machine. Imports nothing of the package, but for the file beside it that takes the
network away: it must start in milliseconds.
"""

from __future__ import annotations

import _thread
import importlib
import os
import signal
import sys
from contextlib import suppress

ANY_NETWORK, NO_NETWORK = "any", "none"
CANNOT_START = 127
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run the command to its end; see the module's text."""
    lifeline, network, command = int(arguments[1]), arguments[2], arguments[3:]
    stops = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        become(command, guard, stops, lifeline, network)
    for number in stops:  # they are for the command; we report how it ended
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
    os.closerange(3, lifeline)
    os.closerange(lifeline + 1, 256)
    _thread.start_new_thread(watch, (lifeline,))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def watch(lifeline: int) -> None:
    """Wait for the runner's end, then kill this process group."""
    while os.read(lifeline, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def become(
    command: list[str], guard: int, stops: set[signal.Signals], lifeline: int, network: str
) -> None:
    """In the child: turn into the command."""
    try:
        os.close(lifeline)
        die_with_parent()
        if os.getppid() != guard:
            os._exit(128 + signal.SIGKILL)
        for number in (*stops, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
        if network == NO_NETWORK:
            take_network_away()
        os.execvp(command[0], command)  # noqa: S606 (no shell is the point)
    except OSError as error:
        os.write(2, f"insaat: cannot start {command[0]}: {error.strerror}\n".encode())
    os._exit(CANNOT_START)


def die_with_parent() -> None:
    """Linux: be killed when the guard is, should someone kill the guard alone."""
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def take_network_away() -> None:
    """Linux: let this process and all that it starts open no socket beyond this machine."""
    if sys.platform == "linux":
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
        importlib.import_module("no_network").refuse_sockets()


if __name__ == "__main__":
    os._exit(main(sys.argv))
