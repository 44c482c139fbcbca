"""Whose fault the bad end of an attempt is. Decided here, and nowhere else.

A fault of the job counts against the job: after `tries` of them it is FAILED. A fault of the
machine or of the store does not: the job goes back into the queue, and the worker rests.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from insaat_cli.errors import InsaatError, MachineError, StoreError, fault_of
from insaat_cli.remote.queue.job_state import Problem
from insaat_cli.remote.store.protocol import CorruptError, NotThereError
from insaat_cli.workspace.workspace import disk_error


class Blame(StrEnum):
    """Whose fault it is."""

    JOB = "job"
    MACHINE = "machine"
    """Full disk, too little memory, missing program, too old version: another may have it."""
    STORE = "store"
    """It does not answer, or refuses."""


def blame_of(error: InsaatError | OSError) -> Blame:
    """Whose fault `error` is, which ended an attempt or prevents one."""
    if isinstance(error, (OSError, MachineError)):
        return Blame.MACHINE  # a job's own files are checked before any is opened
    if isinstance(error, (CorruptError, NotThereError)):
        return Blame.JOB  # its photos are damaged or gone, for every worker
    if isinstance(error, StoreError):
        return Blame.STORE
    return Blame.JOB


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why an attempt ended badly, and whose fault that is."""

    problem: Problem
    blame: Blame

    @classmethod
    def of(cls, error: InsaatError | OSError, where: Path) -> Trouble:
        """`where` is the folder that was written to, for the faults of its disk."""
        blame = blame_of(error)
        if isinstance(error, OSError):
            error = disk_error(error, where)
        problem = Problem(
            fault=fault_of(error), message=error.message, hint=error.hint, stage=error.stage
        )
        return cls(problem=problem, blame=blame)
