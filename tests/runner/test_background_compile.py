"""When code is compiled in the background, and that this ends with the run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from insaat_cli.machine.numba_cache import Cache
from insaat_cli.runner import background_compile
from insaat_cli.runner.background_compile import COMPANION_STAGE, NEEDS_BYTES, Precompiling
from insaat_cli.workspace.workspace import Workspace


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the runner hands over when the right stage starts, with nothing compiled so far."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    workspace = Workspace(tmp_path / "out")
    workspace.logs.mkdir(parents=True)
    stage = SimpleNamespace(run=COMPANION_STAGE)
    return SimpleNamespace(workspace=workspace, spec=SimpleNamespace(stage=stage))


def running(workspace: Workspace) -> list[int]:
    mine = psutil.Process().children(recursive=True)
    return [one.pid for one in mine if any(str(workspace.root) in word for word in one.cmdline())]


def test_it_runs_until_it_is_closed_and_leaves_nothing(started: Any) -> None:
    background = Precompiling()
    background.begin(started, NEEDS_BYTES)
    assert running(started.workspace)
    background.used_bytes()
    background.close()
    assert not running(started.workspace)
    assert not list(started.workspace.stages.iterdir())
    background.begin(started, NEEDS_BYTES)
    assert not running(started.workspace)


def test_it_needs_memory_that_no_stage_will_want(started: Any) -> None:
    background = Precompiling()
    background.begin(started, NEEDS_BYTES - 1)
    assert background.used_bytes() == 0
    assert not running(started.workspace)


def test_nothing_is_started_where_all_is_compiled(started: Any) -> None:
    Cache.found(
        background_compile.os.environ, Path(background_compile.insaat_cli.__file__).parent
    ).mark()
    background = Precompiling()
    background.begin(started, NEEDS_BYTES)
    assert not running(started.workspace)


def test_nothing_is_started_beside_other_stages(started: Any) -> None:
    started.spec.stage.run = "insaat_cli.stages.resize"
    background = Precompiling()
    background.begin(started, NEEDS_BYTES)
    assert not running(started.workspace)
