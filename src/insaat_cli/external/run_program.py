"""Run one program as the child of a stage: follow its progress, keep its log, explain its end.

The program runs in the stage's own process group, so that stopping the stage stops it too.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from insaat_cli.errors import InsaatError, MemoryLimitError, MissingError, StageError
from insaat_cli.external.program_progress import Phase, PhaseProgress
from insaat_cli.external.programs import family_of, require

KEPT_LINES = 2000
SHOWN_LINES = 4
LONGEST_LINE = 4096
KILLED = 128 + signal.SIGKILL
MEMORY_TEXT = re.compile(r"std::bad_alloc|out of memory|cannot allocate memory", re.IGNORECASE)
COMPLAINT = re.compile(r"\berror\b|\bexception\b|invalid|cannot|failed|what\(\)", re.IGNORECASE)
CHATTER = re.compile(r"MEMORYINFO|ENDINFO|VmPeak|VmSize|neato")
CRASHES = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "it aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "arithmetic error",
}


@dataclass(frozen=True, kw_only=True)
class ProgramCall:
    """What to run. Arguments are a list, never a shell string."""

    program: str
    arguments: Sequence[str]
    folder: Path
    """Its working directory: these programs leave logs and settings where they run."""
    phases: Sequence[Phase] = ()
    on_line: Callable[[str], None] | None = None
    """Told every line."""


def run_program(call: ProgramCall, progress: Callable[[float], None]) -> list[str]:
    """Run `call` to its end and return the last lines it printed.

    Raises MissingError where the program is absent or made for another processor, MemoryLimitError
    where it ran out of memory, StageError where it crashed or failed. A program that was killed
    ends this process with the same status: only the runner knows whether memory was short.
    """
    path = require(call.program)
    print(f"--- {[path, *call.arguments]!r}", flush=True)
    try:
        process = subprocess.Popen(
            [path, *call.arguments],
            cwd=call.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise cannot_start(call.program, error) from error
    assert process.stdout is not None
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    follower = PhaseProgress(call.phases)
    with process:
        for line, rewritten in split_lines(process.stdout):
            if call.phases:
                progress(follower.read(line))
            if call.on_line is not None:
                call.on_line(line)
            if not rewritten:
                lines.append(line)
                print(line, flush=True)
    status = process.returncode
    if status == 0:
        return list(lines)
    if status in (-signal.SIGKILL, KILLED):
        print(f"{call.program} was killed", flush=True)
        sys.exit(KILLED)
    raise explain(call.program, status, list(lines))


def split_lines(stream: IO[bytes]) -> Iterator[tuple[str, bool]]:
    """Lines of `stream` as they come, and whether each was overwritten by a carriage return."""
    pending = b""
    while chunk := stream.read1(65536):  # type: ignore[attr-defined]
        *parts, pending = re.split(rb"([\r\n])", pending + chunk)
        for text, end in zip(parts[::2], parts[1::2], strict=True):
            if text.strip():
                yield text[:LONGEST_LINE].decode("utf-8", "replace").rstrip(), end == b"\r"
        pending = pending[-LONGEST_LINE:]
    if pending.strip():
        yield pending.decode("utf-8", "replace").rstrip(), False


def explain(program: str, status: int, lines: Sequence[str]) -> InsaatError:
    """The fault behind a status other than 0; -N or 128 + N stands for signal N."""
    number = -status if status < 0 else status - 128
    if number == signal.SIGILL:
        return other_processor(program)
    if MEMORY_TEXT.search("\n".join(lines[-50:])):
        return MemoryLimitError(f"{program} ran out of memory")
    said = complaint(lines)
    if number in CRASHES:
        crash = CRASHES[signal.Signals(number)]
        return StageError(f"{program} crashed ({crash})", hint=said)
    if status < 0:
        return StageError(f"{program} was killed by signal {number}", hint=said)
    return StageError(f"{program} failed with exit status {status}", hint=said)


def other_processor(program: str) -> MissingError:
    """A binary that dies with an illegal instruction."""
    return MissingError(
        f"{program} was built for a different processor (illegal instruction)",
        hint="install a portable build (not built with -march=native elsewhere; AVX only if this "
        "processor has it)",
    )


def cannot_start(program: str, error: OSError) -> MissingError:
    """The file is there, but the system cannot run it."""
    family = family_of(program)
    return MissingError(
        f"cannot start {program}: {error.strerror}",
        hint="it may have been built for another system"
        + (f"; {family.install}" if family is not None else ""),
    )


def complaint(lines: Sequence[str]) -> str:
    """The last lines that say what is wrong, or simply the last ones."""
    useful = [line for line in lines if not CHATTER.search(line) and line.strip("-=# \t")]
    wrong = [line for line in useful if COMPLAINT.search(line)]
    shown = (wrong or useful)[-SHOWN_LINES:]
    if not shown:
        return "no output"
    return "its output:\n" + "\n".join(f"  {line[:160]}" for line in shown)
