"""What this machine lets us use: memory and cores, and what a process tree uses of it.

Linux control groups (versions 1 and 2, nested), resource limits and physical memory count; swap
does not: a reconstruction that swaps is a reconstruction that stands still.
"""

from __future__ import annotations

import math
import os
import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from insaat_cli.errors import UsageError

DEFAULT_SHARE = 0.6
UNLIMITED_BYTES = 1 << 60
"""Control groups of version 1 write "no limit" as a number near 2**63."""
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\Z", re.IGNORECASE)
SMALLEST_BUDGET_BYTES = 64_000_000
PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True, kw_only=True)
class MachineLimits:
    """The real limits of where we run, and what sets them."""

    memory_bytes: int
    memory_source: str
    cores: int
    cores_source: str
    physical_bytes: int
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
        physical_bytes=physical,
        other_limits=others,
    )


def parse_memory(text: str, limit_bytes: int) -> int:
    """A memory budget: `60%` of the limit, or a size such as `8G`, `512MiB`, `1500m`.

    K, M, G, T are powers of 1000 and Ki, Mi, Gi, Ti of 1024. A bare number is bytes.
    """
    text = text.strip()
    if text.endswith("%"):
        budget = _share(text[:-1]) * limit_bytes
    else:
        match = SIZE.match(text)
        if match is None:
            raise _bad_memory(text)
        number, unit, binary = match.groups()
        power = " kmgt".index(unit.lower()) if unit else 0
        budget = float(number) * (1024 if binary else 1000) ** power
    if not SMALLEST_BUDGET_BYTES <= budget < UNLIMITED_BYTES:
        raise _bad_memory(text)
    return int(budget)


def default_budget(limits: MachineLimits) -> int:
    """The budget of a run that was given none."""
    return int(limits.memory_bytes * DEFAULT_SHARE)


def _share(text: str) -> float:
    try:
        share = float(text) / 100
    except ValueError:
        raise _bad_memory(f"{text}%") from None
    if not 0 < share <= 1:
        raise _bad_memory(f"{text}%")
    return share


def _bad_memory(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is no memory budget", hint="write a share such as 60%, or a size such as 8G"
    )


def tree_pids(root_pid: int) -> list[int]:
    """A process and its descendants."""
    if not Path(f"/proc/{root_pid}/task/{root_pid}/children").exists():
        with suppress(psutil.Error):  # not Linux: looks at every process of the machine
            children = psutil.Process(root_pid).children(recursive=True)
            return [root_pid, *(child.pid for child in children)]
        return [root_pid]
    found, unseen = [root_pid], [root_pid]
    while unseen:
        children_pids = _children(unseen.pop())
        found += children_pids
        unseen += children_pids
    return found


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    try:
        threads = list(tasks.iterdir())
    except OSError:
        return []
    return [int(child) for thread in threads for child in read_text(thread / "children").split()]


def tree_bytes(root_pid: int) -> int:
    """Memory of a process and its descendants now: shared pages are counted once, in parts."""
    return sum(process_bytes(pid) for pid in tree_pids(root_pid))


def resident_bytes(pid: int) -> int:
    """Resident size, shared pages in full: cheap to ask, never less than `process_bytes`."""
    with suppress(OSError, ValueError, IndexError):  # no /proc, or it is gone: ask elsewhere
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
        return int(fields[1]) * PAGE_BYTES
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


@dataclass(frozen=True, kw_only=True)
class ProcessMemory:
    """What a process uses now."""

    pss_bytes: int
    borrowed_bytes: int = 0
    """Of libraries and other files: what counts for processes beside it, as they use them, too,
    and would be its own without them."""


def process_memory(pid: int) -> ProcessMemory:
    """PSS of a process where the kernel gives it, else its resident size; 0 once it is gone."""
    with suppress(OSError, ValueError, KeyError):  # the kernel gives none: ask elsewhere
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        rows = [line.split() for line in text.splitlines()]
        sizes = {row[0]: int(row[1]) * 1024 for row in rows if len(row) == 3}
        pss, own = sizes["Pss:"], sizes.get("Pss_Anon:", sizes["Pss:"])
        in_files = sizes["Rss:"] - sizes["Anonymous:"]
        return ProcessMemory(
            pss_bytes=pss,
            borrowed_bytes=max(0, in_files - (pss - own)) if "Pss_Anon:" in sizes else 0,
        )
    try:
        return ProcessMemory(pss_bytes=int(psutil.Process(pid).memory_info().rss))
    except psutil.Error:
        return ProcessMemory(pss_bytes=0)


def process_bytes(pid: int) -> int:
    """PSS of a process."""
    return process_memory(pid).pss_bytes


def oom_kills(root: Path = Path("/")) -> int:
    """How many processes this kernel has killed for memory so far; 0 where it does not say."""
    text = read_text(root / "proc/vmstat")
    match = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(match.group(1)) if match else 0


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
