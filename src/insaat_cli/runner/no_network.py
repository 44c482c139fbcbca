"""A filter of system calls that leaves a process only the sockets of its own machine.

Seccomp (Linux) asks it for each call, of this process and of all that it starts, and no one can
take it off again; it needs no rights, so it works in a container without any. socket(2) is allowed
for AF_UNIX and AF_NETLINK only. io_uring, which opens sockets without that call, and the calls of
other processor modes, which have other numbers, are refused whole. Used by the guard, before the
command; imports nothing of the package. Source: seccomp(2), linux/bpf_common.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
LOAD, EQUAL, GREATER_OR_EQUAL, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
X32_CALLS = 0x40000000
IO_URING_SETUP = 425
AF_UNIX, AF_NETLINK = 1, 16
SYSTEMS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""The kernel's name of the architecture, and the number of socket(2); both are little-endian."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse_sockets() -> bool:
    """Whether it worked; where not, it says so on stderr, which is the log."""
    known = SYSTEMS.get(os.uname().machine)
    if known is not None:
        code = instructions(*known)
        program = _Program(len(code) // 8, code)
        call = ctypes.CDLL(None, use_errno=True).prctl
        if (
            call(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            and call(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0
        ):
            return True
    print("insaat: this system cannot keep the network from stages", file=sys.stderr, flush=True)
    return False


def instructions(architecture: int, socket_call: int) -> bytes:
    """The filter in the kernel's form, 8 bytes an instruction: code, jumps if true and if not,
    operand. A jump is the number of instructions that are passed over."""
    unknown = REFUSE | errno.ENOSYS
    lines = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 0, 8, architecture),
        (LOAD, 0, 0, NUMBER_AT),
        (GREATER_OR_EQUAL, 6, 0, X32_CALLS),
        (EQUAL, 5, 0, IO_URING_SETUP),
        (EQUAL, 0, 5, socket_call),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (EQUAL, 3, 0, AF_UNIX),
        (EQUAL, 2, 0, AF_NETLINK),
        (RETURN, 0, 0, REFUSE | errno.EACCES),
        (RETURN, 0, 0, unknown),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
