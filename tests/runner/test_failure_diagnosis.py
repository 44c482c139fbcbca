"""How bad ends are read: which error, and what is tried next."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from insaat_cli.errors import (
    DiskFullError,
    DoNotFitError,
    InsaatError,
    MemoryLimitError,
    MissingError,
    PhotosError,
    StageError,
)
from insaat_cli.pipeline.definition import Pipeline, Requirement, Stage
from insaat_cli.runner.failure_diagnosis import Ending, Remedy, judge
from insaat_cli.runner.requirements import check_requirements, find_program

STAGE = Stage(name="dense", title="computing depth", command=("DensifyPointCloud",))


def ending(exit_code: int = 1, log: str = "", **fields: Any) -> Ending:
    defaults = {
        "error_event": None,
        "log": Path("/w/logs/dense.log"),
        "memory_was_short": False,
        "disk_is_full": False,
        "workspace": Path("/w"),
    }
    return Ending(exit_code=exit_code, log_tail=log, **{**defaults, **fields})


@pytest.mark.parametrize(
    ("end", "kind", "remedy", "says"),
    [
        (ending(137), MemoryLimitError, Remedy.SAME, "out of memory"),
        (ending(137, memory_was_short=True), MemoryLimitError, Remedy.CHEAPER, "out of memory"),
        (ending(134, "what():  std::bad_alloc"), MemoryLimitError, Remedy.CHEAPER, "memory"),
        (ending(1, "MemoryError"), MemoryLimitError, Remedy.CHEAPER, "memory"),
        (ending(1, "numpy._ArrayMemoryError: x\nCUDA error: out of memory"), MemoryLimitError,
         Remedy.CHEAPER, "memory"),
        (ending(1, "sh: x\nKilled\n"), MemoryLimitError, Remedy.CHEAPER, "memory"),
        (ending(1, "OSError: [Errno 28] No space left on device"), DiskFullError,
         Remedy.NONE, "no space"),
        (ending(139, disk_is_full=True), DiskFullError, Remedy.NONE, "no space"),
        (ending(139), StageError, Remedy.OTHER, "segmentation fault"),
        (ending(132), StageError, Remedy.NONE, "a different processor"),
        (ending(2, "usage: …\nunknown option"), StageError, Remedy.OTHER, "exit status 2"),
        (ending(255), StageError, Remedy.OTHER, "exit status 255"),
        (ending(127, "insaat: cannot start x"), MissingError, Remedy.NONE, "DensifyPointCloud"),
        (ending(1, "ModuleNotFoundError: No module named 'numba'"), MissingError,
         Remedy.NONE, "numba"),
        (ending(7, error_event={"fault": "photos_do_not_fit", "message": "m", "hint": "h"}),
         DoNotFitError, Remedy.OTHER, "m"),
        (ending(3, error_event={"fault": "photos", "message": "m"}), PhotosError, Remedy.NONE, "m"),
        (ending(6, error_event={"fault": "memory", "message": "m"}), MemoryLimitError,
         Remedy.CHEAPER, "m"),
        (ending(0, error_event={"fault": "nonsense"}), StageError, Remedy.OTHER, ""),
        (ending(5, error_event={"fault": "stage", "message": "disk quota exceeded"}), DiskFullError,
         Remedy.NONE, "no space"),
    ],
)  # fmt: skip
def test_verdicts(end: Ending, kind: type[InsaatError], remedy: Remedy, says: str) -> None:
    verdict = judge(STAGE, end)
    assert type(verdict.error) is kind
    assert verdict.remedy is remedy
    assert says in verdict.error.message
    assert (verdict.error.stage, verdict.error.log) == ("dense", Path("/w/logs/dense.log"))


def test_the_hint_shows_the_end_of_the_log_without_control_characters() -> None:
    log = "\n".join(f"line {number}" for number in range(50)) + "\n\x1b[31mred\n\n"
    hint = judge(STAGE, ending(1, log)).error.hint
    assert "line 49" in hint
    assert "line 40" not in hint
    assert "\x1b" not in hint


def test_stack_traces_do_not_hide_what_was_said() -> None:
    stack = "    @     0x7f12fa9a7332 cfunction\n" * 30
    assert (
        "Check failed: x > 0"
        in judge(STAGE, ending(134, f"Check failed: x > 0\n{stack}")).error.hint
    )
    python = "cannot open x\nFatal Python error: Aborted\n" + "  File y\n" * 30
    assert "cannot open x" in judge(STAGE, ending(134, python)).error.hint


def test_programs_are_found_and_their_versions_compared() -> None:
    here = Requirement(program=sys.executable, version="3.0")
    found = find_program(here)
    assert found.problem == ""
    assert found.version.startswith("3.")
    future = Requirement(program=sys.executable, version="3.999", hint="get a newer one")
    nowhere = Requirement(program="no-such-program")
    pipeline = Pipeline(name="p", summary="", source="", requires=(here, future, nowhere))
    with pytest.raises(MissingError) as caught:
        check_requirements(pipeline)
    assert "version 3.999 or newer is required" in caught.value.message
    assert "no-such-program is not installed" in caught.value.message
    assert caught.value.hint == "get a newer one"
