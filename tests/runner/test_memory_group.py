"""In a control group with little memory: what does not fit is lowered, nothing is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

LIMIT = 400 << 20
GROUPS = Path("/sys/fs/cgroup")
RUNNER = """
import os, sys
from pathlib import Path
Path({group!r}, "cgroup.procs").write_text(str(os.getpid()))
sys.path.insert(0, {tests!r})
from tests.fakes.pipelines import Heard, fake_pipeline, fake_plan, fake_stage
from insaat_cli.machine.memory_budget import memory_budget
from insaat_cli.machine.limits import machine_limits
from insaat_cli.runner.loop import run_pipeline
budget = memory_budget(machine_limits(), None, {{}})
stages = [
    fake_stage("predicted", params={{"ballast_mb": 900}}, memory={{"base_mb": 900}},
               on_memory=[{{"ballast_mb": 100, "memory": "* 0.15"}}]),
    fake_stage("liar", ["predicted"], params={{"ballast_mb": 900}},
               on_memory=[{{"threads": 1}}, {{"ballast_mb": 100}}]),
]
plan = fake_plan(
    fake_pipeline(*stages), Path({workspace!r}),
    memory_budget_bytes=budget.memory_bytes, memory_stretch_bytes=budget.stretch_bytes,
)
run_pipeline(plan, Heard())
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A memory group of version 1 or 2, where we may make one."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            parent = GROUPS / "memory" / path.lstrip("/")
            parent = parent if parent.is_dir() else GROUPS / "memory"
            limit = "memory.limit_in_bytes"
        elif not controllers and (GROUPS / "cgroup.controllers").exists():
            parent, limit = GROUPS / path.lstrip("/"), "memory.max"
        else:
            continue
        folder = parent / f"insaat-test-{os.getpid()}"
        with suppress(OSError):
            folder.mkdir()
            try:
                (folder / limit).write_text(str(LIMIT))
            except OSError:
                folder.rmdir()
                continue
            yield folder
            folder.rmdir()
            return
    pytest.skip("cannot make a memory control group here")


def test_a_small_group_lowers_and_survives(group: Path, tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[2])
    code = RUNNER.format(group=str(group), tests=tests, workspace=str(tmp_path / "out"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["machine"]["memory_limit_bytes"] == LIMIT
    assert record["memory_budget_bytes"] == int(LIMIT * 0.6)
    predicted, liar = record["stages"]
    assert predicted["params"]["ballast_mb"] == 100
    assert predicted["attempts"] == 1, "lowered before any work"
    assert liar["params"]["ballast_mb"] == 100, "lowered when it took too much"
    assert liar["degraded"]
