"""The end of a batch: a table of all photo sets, and the same for programs."""

from __future__ import annotations

from typing import Any

from insaat_cli.display.output import error_fields
from insaat_cli.display.run_summary import summary_fields, warning_lines
from insaat_cli.formatting import counted, duration, printable, size
from insaat_cli.reconstruction.batch import BatchResult, SetOutcome

HEAD = ("set", "result", "registered", "time", "memory", "reduced", "")
LONGEST_NAME = 32


def outcome_line(outcome: SetOutcome) -> str:
    """One set that is over, in one line."""
    name = printable(outcome.name)
    if outcome.done is None:
        assert outcome.error is not None
        return f"{name}: failed: {printable(outcome.error.message.splitlines()[0])}"
    row = _row(outcome)
    warnings = "".join(f"; {line}" for line in warning_lines(outcome.done))
    return f"{name}: done in {row[3]}, peak {row[4]}, {row[6]}{warnings}"


def batch_lines(result: BatchResult) -> list[str]:
    """The table, and below it the sum, what failed with its hint, and what the others lost."""
    rows = [HEAD, *map(_row, result.sets)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    done = sum(outcome.done is not None for outcome in result.sets)
    lines += [
        "",
        f"{counted(done, 'model')} of {counted(len(result.sets), 'photo set')} in "
        f"{duration(result.seconds)}, peak memory of all {size(result.peak_bytes)}",
    ]
    for outcome in result.sets:
        name = printable(outcome.name)
        if outcome.done is not None:
            lines += [f"  {name}: {line}" for line in warning_lines(outcome.done)]
        elif outcome.error and outcome.error.hint:
            lines.append(f"  {name}: try: {printable(outcome.error.hint.splitlines()[0])}")
    return lines


def batch_fields(result: BatchResult) -> dict[str, Any]:
    """The same for a program."""
    return {
        "event": "batch_summary",
        "sets": [outcome_fields(outcome) for outcome in result.sets],
        "seconds": round(result.seconds, 3),
        "peak_bytes": result.peak_bytes,
        "code": int(result.code),
    }


def outcome_fields(outcome: SetOutcome) -> dict[str, Any]:
    """One set for a program; with the fields of a single reconstruction's summary or error."""
    fields = {"set": outcome.name, "code": int(outcome.code)}
    if outcome.done is not None:
        return {**summary_fields(outcome.done), **fields, "event": "set_done"}
    assert outcome.error is not None
    return {**error_fields(outcome.error), **fields, "event": "set_failed"}


def _row(outcome: SetOutcome) -> tuple[str, ...]:
    name = printable(outcome.name)[:LONGEST_NAME]
    if outcome.done is None:
        assert outcome.error is not None
        message = printable(outcome.error.message.splitlines()[0])
        return (name, f"failed ({int(outcome.code)})", "", "", "", "", message)
    run, shortfall = outcome.done.run, outcome.done.shortfall
    registered = shortfall.registered
    photos = len(outcome.done.photos.used)
    model = next((path for path in run.results if path.suffix == ".glb"), run.workspace)
    return (
        name,
        f"incomplete ({int(outcome.code)})" if outcome.error else "done",
        f"{registered if registered is not None else '?'}/{photos}",
        duration(run.seconds),
        size(run.peak_bytes),
        str(len(shortfall.lowered) or ""),
        printable(str(model)),
    )
