"""How much memory a process and its descendants use, and whether the kernel killed any of them."""

from __future__ import annotations

import re
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from insaat_cli.machine.limits import read_text

PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True, kw_only=True)
class ProcessMemory:
    """What a process uses now."""

    pss_bytes: int
    borrowed_bytes: int = 0
    """Of libraries and other files: what counts for processes beside it, as they use them, too,
    and would be its own without them."""


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
