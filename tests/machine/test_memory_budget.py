"""Where the memory budget comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.machine.limits import MachineLimits
from insaat_cli.machine.memory_budget import memory_budget

LIMITS = MachineLimits(
    memory_bytes=10_000_000_000,
    memory_source="test",
    cores=2,
    cores_source="test",
)


def test_option_before_variable_before_file_before_default(tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    default = memory_budget(LIMITS, None, home)
    assert (default.memory_bytes, default.stretch_bytes) == (6_000_000_000, 9_000_000_000)
    (tmp_path / "insaat").mkdir()
    file = tmp_path / "insaat" / "config.toml"
    file.write_text('max_memory = "50%"\n')
    from_file = memory_budget(LIMITS, None, home)
    assert (from_file.memory_bytes, from_file.stretch_bytes) == (5_000_000_000, 0)
    assert from_file.origin == str(file)
    both = {**home, "INSAAT_MAX_MEMORY": "3G"}
    assert memory_budget(LIMITS, None, both).memory_bytes == 3_000_000_000
    assert memory_budget(LIMITS, "2G", both).memory_bytes == 2_000_000_000


def test_nonsense_in_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "insaat").mkdir()
    (tmp_path / "insaat" / "config.toml").write_text('max_memory = "much"\n')
    with pytest.raises(UsageError, match="much"):
        memory_budget(LIMITS, None, {"XDG_CONFIG_HOME": str(tmp_path)})
