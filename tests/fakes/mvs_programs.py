"""A folder with stand-ins for all programs of OpenMVG and OpenMVS."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.mvs_options import OPENMVG, OPENMVS

SCRIPT = Path(__file__).with_name("mvs_program.py")


class FakePrograms:
    """Stand-ins on the two search variables, with nothing real reachable."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir(parents=True)
        self.plan = folder / "plan.json"
        for name in (*(f"openMVG_main_{name}" for name in OPENMVG), *OPENMVS):
            program = self.folder / name
            program.write_text(
                f"#!{sys.executable}\n"
                f"import os, runpy\n"
                f"os.environ['FAKE_MVS_NAME'] = {name!r}\n"
                f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
            )
            program.chmod(0o755)
        monkeypatch.setenv("INSAAT_OPENMVG_BIN", str(self.folder))
        monkeypatch.setenv("INSAAT_OPENMVS_BIN", str(self.folder))
        monkeypatch.setenv("FAKE_MVS_PLAN", str(self.plan))
        self.misbehave({})

    def misbehave(self, plan: dict[str, list[dict[str, Any]]]) -> None:
        """What the programs do wrong, call by call."""
        self.plan.write_text(json.dumps(plan))
        self.plan.with_name("calls.txt").unlink(missing_ok=True)

    def calls(self, program: str) -> list[list[str]]:
        """The arguments of each call of `program` (without its prefix)."""
        path = self.plan.with_name("calls.txt")
        if not path.exists():
            return []
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [line[1:] for line in lines if line[0] == program]


@pytest.fixture
def mvs_programs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    return FakePrograms(tmp_path_factory.mktemp("mvs"), monkeypatch)
