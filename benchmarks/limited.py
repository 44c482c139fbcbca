"""Run a command under a memory limit: a control group where one can be made, else RLIMIT_DATA."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Limited:
    """How a command went under a limit."""

    exit_code: int
    kind: str
    """"cgroup v1", "cgroup v2" or "RLIMIT_DATA"."""
    peak_bytes: int
    """As the kernel counts it, page cache included; 0 where it does not."""
    oom_kills: int


@dataclass(frozen=True, kw_only=True)
class Group:
    """A control group made for one command."""

    folder: Path
    kind: str

    def peak_bytes(self) -> int:
        names = ("memory.max_usage_in_bytes", "memory.peak")
        return next((number for name in names if (number := _number(self.folder / name))), 0)

    def oom_kills(self) -> int:
        texts = [_text(self.folder / name) for name in ("memory.oom_control", "memory.events")]
        found = re.search(r"^oom_kill (\d+)$", "\n".join(texts), re.MULTILINE)
        return int(found.group(1)) if found else 0


def run_limited(command: Sequence[str], limit_bytes: int, log: Path) -> Limited:
    """Run `command` with at most `limit_bytes`; what it prints goes to `log`."""
    with memory_group(limit_bytes) as group, log.open("wb") as output:

        def enter() -> None:
            if group is None:
                resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
            else:
                (group.folder / "cgroup.procs").write_text(str(os.getpid()))

        code = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, preexec_fn=enter, check=False
        ).returncode
        return Limited(
            exit_code=code,
            kind=group.kind if group else "RLIMIT_DATA",
            peak_bytes=group.peak_bytes() if group else 0,
            oom_kills=group.oom_kills() if group else 0,
        )


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Group | None]:
    """A group with that limit below our own, of version 1 or 2; None where none can be made."""
    for kind, parent, limit_name in _parents():
        folder = parent / f"insaat-bench-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit_name).write_text(str(limit_bytes))
        except OSError:
            folder.rmdir()
            continue
        try:
            yield Group(folder=folder, kind=kind)
        finally:
            with suppress(OSError):
                folder.rmdir()
        return
    yield None


def _parents() -> Iterator[tuple[str, Path, str]]:
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            inner = CGROUPS / "memory" / path.lstrip("/")
            yield (
                "cgroup v1",
                inner if inner.is_dir() else CGROUPS / "memory",
                ("memory.limit_in_bytes"),
            )
        elif not controllers and (CGROUPS / "cgroup.controllers").exists():
            yield "cgroup v2", CGROUPS / path.lstrip("/"), "memory.max"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else 0
