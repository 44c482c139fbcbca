"""What other programs leave, from the files of a machine that does not exist."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from insaat_cli.machine.available_memory import AvailableMemory, Pressure

GROUP = "sys/fs/cgroup/jobs/one"
LIMIT = 1_000_000_000


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """We are in group /jobs/one of version 2, limited to 1 GB."""
    (tmp_path / GROUP).mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/jobs/one\n")
    mount = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc/self/mountinfo").write_text(mount)
    use(tmp_path, 300_000_000)
    return tmp_path


def use(machine: Path, used: int, cache: int = 0, stalled: float = 0.0) -> None:
    group = machine / GROUP
    (group / "memory.max").write_text(f"{LIMIT}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon {used - cache}\ninactive_file {cache}\n")
    (group / "memory.pressure").write_text(
        f"some avg10=0.00 avg60=0.00\nfull avg10={stalled:.2f} avg60=0.00 avg300=0.00 total=0\n"
    )


def looked(machine: Path) -> AvailableMemory:
    around = AvailableMemory(machine)
    assert around.look()
    assert not around.look(), "seldom enough to cost nothing"
    return around


def test_what_the_group_leaves(machine: Path) -> None:
    around = looked(machine)
    assert around.available_bytes == min(700_000_000, psutil.virtual_memory().available)
    assert around.pressure is Pressure.NONE


def test_page_cache_that_can_be_dropped_is_no_use(machine: Path) -> None:
    use(machine, 990_000_000, cache=500_000_000)
    around = looked(machine)
    assert around.available_bytes == min(510_000_000, psutil.virtual_memory().available)
    assert around.pressure is Pressure.NONE


@pytest.mark.parametrize(
    ("used", "stalled", "expected"),
    [
        (900_000_000, 0.0, Pressure.NONE),
        (950_000_000, 0.0, Pressure.HIGH),
        (990_000_000, 0.0, Pressure.CRITICAL),
        (300_000_000, 60.0, Pressure.HIGH),
    ],
)
def test_pressure(machine: Path, used: int, stalled: float, expected: Pressure) -> None:
    use(machine, used, stalled=stalled)
    assert looked(machine).pressure is expected
