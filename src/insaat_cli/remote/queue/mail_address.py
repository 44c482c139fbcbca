"""A plain e-mail address, which a job may name."""

from __future__ import annotations

import re

from insaat_cli.errors import UsageError

ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?"
)


def check_address(address: str) -> str:
    """`address` itself, if it is one plain mail address and nothing else."""
    if not ADDRESS.fullmatch(address) or ".." in address:
        raise UsageError(
            f"invalid mail address {address!r:.100}",
            hint="use one plain address such as me@example.org",
        )
    return address
