"""Credentials of a worker, out of reach of the stages that it runs.

A stage is a process of the same user, and Linux shows such a process the environment and arguments
with which every other was started. So a worker that was started with credentials begins again
without them: the same program in the same process, to which a file in memory hands them on. They
then lie in its own memory only, which the kernel shows to nobody without CAP_SYS_PTRACE.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from insaat_cli.runner.process import has_password, is_credential

FD_VARIABLE = "INSAAT_CREDENTIALS_FD"
HIDDEN = "hidden"
"""What others see instead of an argument with a password."""
PR_SET_DUMPABLE = 4


def begin_again_without_credentials() -> None:
    """Replace this process by itself, started without credentials, where it was started with some.

    Returns where there is nothing to hide in what is shown; the memory is hidden then."""
    secrets = {name: value for name, value in os.environ.items() if is_credential(name, value)}
    command = sys.orig_argv
    places = range(1 - len(command), 0)
    words = {place: command[place] for place in places if has_password(command[place])}
    if sys.platform != "linux":
        return
    if FD_VARIABLE in os.environ or not (secrets or words):
        _hide_memory()
        return
    file = os.memfd_create("credentials", 0)
    with os.fdopen(os.dup(file), "w", encoding="utf-8", errors="surrogateescape") as stream:
        json.dump({"environment": secrets, "arguments": sorted(words.items())}, stream)
    os.lseek(file, 0, os.SEEK_SET)
    kept = {name: value for name, value in os.environ.items() if name not in secrets}
    shown = [HIDDEN if has_password(word) else word for word in command]
    os.execve(sys.executable, shown, {**kept, FD_VARIABLE: str(file)})  # noqa: S606


def take_credentials() -> None:
    """Read what `begin_again_without_credentials` left."""
    descriptor = os.environ.pop(FD_VARIABLE, None)
    if descriptor is None:
        return
    with os.fdopen(int(descriptor), encoding="utf-8", errors="surrogateescape") as stream:
        found = json.load(stream)
    # They are put into memory of this process; what the kernel shows stays as it was.
    os.environ.update(found["environment"])
    for index, word in found["arguments"]:
        sys.argv[index] = word


def _hide_memory() -> None:
    """Show nobody this process's memory, environment and open files; it leaves no core dump."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
