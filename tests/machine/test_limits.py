"""Limits read from made-up control groups, budgets, and measured memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from insaat_cli.errors import UsageError
from insaat_cli.machine.limits import machine_limits
from insaat_cli.machine.memory_budget import parse_memory
from insaat_cli.machine.process_memory import oom_kills, process_bytes, tree_bytes

GIB = 1 << 30


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


V2_MOUNT = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1_MOUNTS = (
    "31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)


def test_version_2_takes_the_tightest_of_nested_groups(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            "proc/self/mountinfo": V2_MOUNT,
            "sys/fs/cgroup/outer/memory.max": str(GIB // 2),
            "sys/fs/cgroup/outer/inner/memory.max": "max\n",
            "sys/fs/cgroup/outer/inner/memory.high": str(GIB // 4),
            "sys/fs/cgroup/outer/cpu.max": "50000 100000\n",
            "sys/fs/cgroup/outer/inner/cpu.max": "max 100000\n",
        },
    )
    limits = machine_limits(tmp_path)
    assert limits.memory_bytes == GIB // 4
    assert "memory.high" in limits.memory_source
    assert limits.cores == 1
    assert "cpu.max" in limits.cores_source


def test_version_1(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/job\n4:cpu,cpuacct:/job\n0::/\n",
            "proc/self/mountinfo": V1_MOUNTS,
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(GIB // 3),
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "100000",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
        },
    )
    limits = machine_limits(tmp_path)
    assert limits.memory_bytes == GIB // 3
    assert limits.cores == 1


def test_in_a_container_whose_group_is_the_mount_root(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/docker/abc\n",
            "proc/self/mountinfo": V2_MOUNT,
            "sys/fs/cgroup/memory.max": str(GIB // 5),
        },
    )
    assert machine_limits(tmp_path).memory_bytes == GIB // 5


def test_without_groups_the_machine_itself_counts(tmp_path: Path) -> None:
    limits = machine_limits(tmp_path)
    assert limits.memory_bytes <= psutil.virtual_memory().total
    assert 1 <= limits.cores <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60%", 6_000_000_000),
        ("8G", 8_000_000_000),
        ("8GB", 8_000_000_000),
        ("512MiB", 512 << 20),
        ("1.5g", 1_500_000_000),
        ("1500m", 1_500_000_000),
        ("200000000", 200_000_000),
        (" 1 Gi ", GIB),
    ],
)
def test_budgets(text: str, expected: int) -> None:
    assert parse_memory(text, 10_000_000_000) == expected


@pytest.mark.parametrize("text", ["", "x", "0%", "101%", "-1G", "nan%", "8X", "1e9G", "%"])
def test_wrong_budgets(text: str) -> None:
    with pytest.raises(UsageError, match="invalid memory budget"):
        parse_memory(text, 10_000_000_000)


@pytest.mark.parametrize("text", ["1", "10M", "0.1%"])
def test_a_budget_that_is_too_small_is_told_the_least(text: str) -> None:
    with pytest.raises(UsageError, match=f"'{text}' is too small; the minimum is 64 MB"):
        parse_memory(text, 10_000_000_000)


def test_memory_of_a_tree_counts_the_grandchild() -> None:
    grow = "x = b'x' * 60_000_000; print('ok', flush=True); import time; time.sleep(30)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grow!r}])"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ok\n"
        assert 60_000_000 < tree_bytes(child.pid) < 160_000_000
    finally:
        for process in psutil.Process(child.pid).children(recursive=True):
            process.kill()
        child.kill()
        child.wait()
        child.stdout.close()
    time.sleep(0.05)
    assert process_bytes(child.pid) == 0


def test_oom_kills_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"proc/vmstat": "pgfault 3\noom_kill 7\n"})
    assert oom_kills(tmp_path) == 7
    assert oom_kills(tmp_path / "none") == 0
