"""The error tree, and the one place where an error becomes an exit code.

Every expected fault is an `InsaatError`: it says what happened (`message`), what to try (`hint`),
and, once known, in which stage and where the log is.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What the shell sees; documented in the README."""

    DONE = 0
    USAGE = 2
    PHOTOS = 3
    MISSING = 4
    STAGE = 5
    MEMORY = 6
    DO_NOT_FIT = 7
    STORE = 8
    NO_JOB = 9
    JOB_STATE = 10
    INTERRUPTED = 130
    TERMINATED = 143


class Fault(StrEnum):
    """The kinds of fault that a stage or a pipeline file can name."""

    USAGE = "usage"
    PHOTOS = "photos"
    MISSING = "missing"
    STAGE = "stage"
    MEMORY = "memory"
    DO_NOT_FIT = "photos_do_not_fit"
    STORE = "store"


class InsaatError(Exception):
    """An expected fault. `hint` is what to try; `stage` and `log` are filled in by the runner."""

    code = ExitCode.STAGE

    def __init__(
        self, message: str, *, hint: str = "", stage: str = "", log: Path | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.stage = stage
        self.log = log


class UsageError(InsaatError):
    """A wrong option, parameter or pipeline file."""

    code = ExitCode.USAGE


class PhotosError(InsaatError):
    """Too few photos that can be used."""

    code = ExitCode.PHOTOS


class MachineError(InsaatError):
    """Not the work is at fault but the machine: what it has, or lacks, is not enough for it.

    The same work may go well on another machine, or on this one later. A class of errors says so
    by having this one among its bases."""


class MissingError(MachineError):
    """A program or package that the pipeline needs is not there, or too old."""

    code = ExitCode.MISSING


class StageError(InsaatError):
    """A stage failed, or ended well with a useless result."""

    code = ExitCode.STAGE


class TimedOutError(StageError):
    """A stage or a job made no progress, or took far longer than was predicted."""


class DiskFullError(MachineError, StageError):
    """The disk has too little space for what is to be written."""


class NotWritableError(MachineError, UsageError):
    """The disk is read-only, or its folder belongs to somebody else."""


class MemoryLimitError(MachineError):
    """A stage ran out of memory, or cannot fit the budget."""

    code = ExitCode.MEMORY


class DoNotFitError(InsaatError):
    """Too few photos could be registered together."""

    code = ExitCode.DO_NOT_FIT


class IncompleteError(InsaatError):
    """Under --strict: there is a result, but it is not all that was asked for."""

    code = ExitCode.DO_NOT_FIT


class StoreError(InsaatError):
    """The store is unreachable, or refused."""

    code = ExitCode.STORE


class NoJobError(StoreError):
    """The store answered, and it holds no such job."""

    code = ExitCode.NO_JOB


class JobStateError(InsaatError):
    """The job is there, but has ended, or has not yet: what was asked for is not possible now."""

    code = ExitCode.JOB_STATE


class StoppedError(InsaatError):
    """The run was stopped by a signal; the workspace can be resumed."""

    def __init__(self, message: str, *, code: ExitCode) -> None:
        super().__init__(message, hint="run the same command again to resume")
        self.code = code


ERROR_OF_FAULT: dict[Fault, type[InsaatError]] = {
    Fault.USAGE: UsageError,
    Fault.PHOTOS: PhotosError,
    Fault.MISSING: MissingError,
    Fault.STAGE: StageError,
    Fault.MEMORY: MemoryLimitError,
    Fault.DO_NOT_FIT: DoNotFitError,
    Fault.STORE: StoreError,
}


def fault_of(error: InsaatError) -> Fault:
    """The kind under which a stage reports `error` to the runner."""
    for fault, kind in ERROR_OF_FAULT.items():
        if isinstance(error, kind):
            return fault
    return Fault.STAGE
