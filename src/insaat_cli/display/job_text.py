"""Jobs as text: one line each in a list, several lines for a single one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from insaat_cli.errors import ERROR_OF_FAULT, InsaatError, JobStateError
from insaat_cli.formatting import counted, duration, printable, size
from insaat_cli.remote.queue.attempts import Attempt
from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.refusals import Refusal

STEP = 0.1


class TransferMeter:
    """A meter that prints a line at every STEP of a transfer; several threads may share it."""

    def __init__(self, done: str, write_line: Callable[[str], object]) -> None:
        self._done, self._write_line = done, write_line
        self._lock = threading.Lock()
        self._total, self._moved, self._steps = 0, 0, 0

    def start(self, total_bytes: int) -> None:
        self._total = total_bytes

    def add(self, moved_bytes: int) -> None:
        with self._lock:
            self._moved += moved_bytes
            steps = min(self._moved / max(self._total, 1), 1.0) // STEP
            if steps > self._steps:
                self._steps = int(steps)
                share = f"{steps * STEP:.0%}"
                self._write_line(f"{share} of {size(self._total)} {self._done}")


def shorter_link(valid_s: float | None, wanted_s: float) -> str:
    """Why a link does not last as long as was asked for; "" where it does."""
    if valid_s is None:
        return "warning: the link ends with the temporary credentials that signed it"
    if valid_s >= wanted_s - 60:
        return ""
    ends = duration(valid_s)
    return f"warning: the link works for {ends} only: then the credentials that signed it expire"


def state_fields(state: JobState) -> dict[str, Any]:
    """Return the fields of a state for --json, without those that only the protocol needs."""
    fields = state.fields()
    for name in ("txn", "recent"):
        del fields[name]
    return {"event": "job", **fields}


def job_line(state: JobState) -> str:
    about = _progress(state) if state.status is Status.RUNNING else _problem(state)
    when = state.submitted_at.replace("T", " ")[:16]
    return printable(f"{state.job}  {state.status.value:9}  {when}  {about}").rstrip()


def status_lines(state: JobState) -> list[str]:
    lines = [f"{state.job}: {state.status.value}"]
    if state.status is Status.RUNNING:
        lines.append(f"{_progress(state)} on {state.owner}")
        if state.progress.line:
            lines.append(f"| {state.progress.line}")
        if state.cancel:
            lines.append("cancellation requested")
    counts = [
        counted(number, kind)
        for number, kind in (
            (state.failures, "failed attempt"),
            (state.losses, "lost attempt"),
            (state.releases, "released attempt"),
        )
        if number
    ]
    if counts:
        lines.append(", ".join(counts))
    if state.problem and state.status is not Status.SUCCEEDED:
        lines += [*state.problem.message.splitlines(), *state.problem.hint.splitlines()]
    return [printable(line) for line in lines if line]


def attempt_line(attempt: Attempt) -> str:
    """Return one attempt of the history on one line."""
    when = attempt.ended_at.replace("T", " ")[:16]
    where = f" in {attempt.stage}" if attempt.stage and attempt.end != "succeeded" else ""
    who = f" on {attempt.owner}" if attempt.owner else ""
    message = attempt.problem.message.partition("\n")[0] if attempt.problem else ""
    why = f": {message}" if message else ""
    return printable(f"attempt {attempt.epoch}: {when}  {attempt.end}{where}{who}{why}")


def refusal_line(refusal: Refusal) -> str:
    return printable(f"{refusal.machine} cannot run it: {refusal.problem.message}")


def ended_error(state: JobState) -> InsaatError:
    """Return the error to raise for a job that did not succeed."""
    problem = state.problem
    if state.status is Status.CANCELLED or problem is None:
        return JobStateError(f"job {state.job} is {state.status.value}")
    kind = ERROR_OF_FAULT[problem.fault]
    hint = problem.hint or f"see its log: insaat logs {state.job}"
    return kind(f"job {state.job} failed: {problem.message}", hint=hint)


def _progress(state: JobState) -> str:
    progress = state.progress
    left = "" if progress.seconds_left is None else f", {duration(progress.seconds_left)} left"
    return f"{progress.stage or 'starting'} {progress.share:.0%}{left}"


def _problem(state: JobState) -> str:
    """Return the first line of the job's problem."""
    message = state.problem.message if state.problem else ""
    return message.partition("\n")[0][:80]
