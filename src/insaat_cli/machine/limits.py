"""What this machine lets us use: memory and cores.

Linux control groups (versions 1 and 2, nested), resource limits and physical memory count; swap
does not: a reconstruction that swaps is a reconstruction that stands still.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

UNLIMITED_BYTES = 1 << 60
"""Control groups of version 1 write "no limit" as a number near 2**63."""


@dataclass(frozen=True, kw_only=True)
class MachineLimits:
    """The real limits of where we run, and what sets them."""

    memory_bytes: int
    memory_source: str
    cores: int
    cores_source: str
    other_limits: tuple[tuple[int, str], ...] = ()
    """Limits of memory that are found, too, but are larger; with what sets them."""


def machine_limits(root: Path = Path("/")) -> MachineLimits:
    """The limits of this process; `root` stands for / in tests."""
    physical = psutil.virtual_memory().total
    memory = [(physical, "physical memory"), *_rlimits(), *_cgroup_memory(root)]
    memory_bytes, memory_source = min(memory)
    others = tuple(sorted({limit for limit in memory if limit[0] != memory_bytes}))
    cores = [(float(_affinity()), "processors of this machine"), *_cgroup_cores(root)]
    core_count, cores_source = min(cores)
    return MachineLimits(
        memory_bytes=memory_bytes,
        memory_source=memory_source,
        cores=max(1, math.ceil(core_count)),
        cores_source=cores_source,
        other_limits=others,
    )


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _rlimits() -> Iterator[tuple[int, str]]:
    for name, label in (("RLIMIT_AS", "ulimit -v"), ("RLIMIT_DATA", "ulimit -d")):
        soft, _ = resource.getrlimit(getattr(resource, name))
        if soft != resource.RLIM_INFINITY:
            yield soft, label


def _cgroup_memory(root: Path) -> Iterator[tuple[int, str]]:
    files = ("memory.max", "memory.high", "memory.limit_in_bytes")
    for folder in cgroup_folders(root, "memory"):
        for name in files:
            with suppress(ValueError):
                limit = int(read_text(folder / name) or "max")
                if limit < UNLIMITED_BYTES:
                    yield limit, f"control group ({name})"


def _cgroup_cores(root: Path) -> Iterator[tuple[float, str]]:
    for folder in cgroup_folders(root, "cpu"):
        with suppress(ValueError):
            quota, period = map(int, read_text(folder / "cpu.max").split())
            yield quota / period, "control group (cpu.max)"
        with suppress(ValueError):
            quota = int(read_text(folder / "cpu.cfs_quota_us"))
            period = int(read_text(folder / "cpu.cfs_period_us"))
            if quota > 0 and period > 0:
                yield quota / period, "control group (cpu.cfs_quota_us)"


def cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders of our groups for `controller`, from the innermost outwards."""
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        for mount, mounted in _cgroup_mounts(root, controller if controllers else ""):
            yield from _outwards(root, mount, mounted, path)


def _outwards(root: Path, mount: str, mounted: str, path: str) -> Iterator[Path]:
    # Inside a container the path of /proc is often the host's, while the mount shows our own
    # group as its root; then only the mount point itself can be read.
    inner = path.removeprefix(mounted) if mounted != "/" else path
    top = root / mount.lstrip("/")
    folder = top / inner.lstrip("/")
    if not folder.is_dir():
        folder = top
    while folder != top:
        yield folder
        folder = folder.parent
    yield top


def _cgroup_mounts(root: Path, controller: str) -> Iterator[tuple[str, str]]:
    """Mount point and mounted root of the hierarchy of `controller`; "" is version 2."""
    for line in read_text(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2" and not controller:
            yield fields[4], fields[3]
        if kind[0] == "cgroup" and controller and controller in kind[2].split(","):
            yield fields[4], fields[3]


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
