"""A wrong time of day for one process and all that it starts, without touching the system's clock.

Python imports `sitecustomize` from PYTHONPATH before anything else runs. Monotonic clocks stay as
they are, as on a machine whose time of day was set wrong.
"""

from __future__ import annotations

import os
from pathlib import Path

PATCH = """
import datetime, time

SHIFT = {shift}
_time, _time_ns, _gmtime, _localtime = time.time, time.time_ns, time.gmtime, time.localtime
_datetime = datetime.datetime


class _Any(type):
    def __instancecheck__(cls, found):
        return isinstance(found, _datetime)


class Shifted(_datetime, metaclass=_Any):
    @classmethod
    def now(cls, tz=None):
        return _datetime.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)

    @classmethod
    def today(cls):
        return cls.now()


time.time = lambda: _time() + SHIFT
time.time_ns = lambda: _time_ns() + SHIFT * 10**9
# Static, as logging makes one of them its class's own.
time.gmtime = staticmethod(
    lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
)
time.localtime = staticmethod(
    lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
)
datetime.datetime = Shifted
"""


def environment_of(folder: Path, shift_s: int) -> dict[str, str]:
    """The environment of a process whose clock is `shift_s` ahead (or behind, if negative)."""
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(PATCH.format(shift=shift_s))
    return {**os.environ, "PYTHONPATH": str(folder)}
