"""Put on PYTHONPATH, it writes down what every Python process of a run has computed.

Python imports a module of this name at its start. At the end of a process the line
`MODULE SECONDS` goes to the file named in STAGE_CLOCK: what was started with `-m`, and its user and
system time with that of the processes it waited for. So trees of any age are measured alike.
"""

import atexit
import os
import resource
import sys


def write_down() -> None:
    """One line, in one piece, since stages may end at the same time."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in usage)
    line = f"{sys.orig_argv[sys.orig_argv.index('-m') + 1]} {seconds:.3f}\n"
    target = os.open(os.environ["STAGE_CLOCK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(target, line.encode())
    os.close(target)


if "STAGE_CLOCK" in os.environ and "-m" in sys.orig_argv:
    atexit.register(write_down)
