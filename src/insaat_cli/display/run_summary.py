"""The end of a reconstruction in a few lines: how it went and where the results are."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from insaat_cli.formatting import counted, duration, printable, size
from insaat_cli.reconstruction.reconstruct import Reconstruction
from insaat_cli.runner.run_result import RunResult

MODEL_NAME = "model.glb"


def warning_lines(outcome: Reconstruction) -> list[str]:
    """What has to be read before anything else; a dry run has nothing to say here."""
    if outcome.report is None:
        return []
    return [f"warning: {sentence}" for sentence in outcome.shortfall.sentences()]


def summary_lines(outcome: Reconstruction) -> list[str]:
    """What is said when a reconstruction has ended well, below the warnings."""
    run = outcome.run
    if outcome.report is None:
        return [
            f"dry run: nothing was written; results would go to {printable(str(run.workspace))}"
        ]
    words = [_verdict(outcome), f"peak memory {size(run.peak_bytes)}" if run.peak_bytes else ""]
    facts = ", ".join(word for word in words if word)
    lines = [f"{_done(run)}{': ' if facts else ''}{facts}"]
    lines += [f"  model   {printable(str(path))}" for path in run.results if _is_model(path)]
    lines.append(f"  report  {printable(str(outcome.report))}")
    others = [printable(path.name) for path in run.results if not _is_model(path)]
    if others:
        lines.append(f"  also    {', '.join(others)}")
    if any(_is_model(path) for path in run.results):
        lines.append(f"  next    insaat view {shlex.quote(printable(str(run.workspace)))}")
    return [*lines, *(f"  note: {printable(note)}" for note in run.notes)]


def summary_fields(outcome: Reconstruction) -> dict[str, Any]:
    """The same for a program."""
    run = outcome.run
    return {
        "event": "summary",
        "workspace": str(run.workspace),
        "photos": len(outcome.photos.used),
        "registered": outcome.shortfall.registered,
        "results": {path.name: str(path) for path in run.results},
        "report": str(outcome.report) if outcome.report else None,
        "seconds": round(run.seconds, 3),
        "peak_bytes": run.peak_bytes,
        "reused": run.reused is not None,
        "notes": list(run.notes),
        **outcome.shortfall.to_json(),
    }


def _done(run: RunResult) -> str:
    if run.reused is None:
        return f"done in {duration(run.seconds)}"
    when = run.reused.started[:16].replace("T", " ")
    whose = f"the run of {when} UTC" if when else "an earlier run"
    return f"nothing to do: already done by {whose} in {duration(run.seconds)}"


def _verdict(outcome: Reconstruction) -> str:
    count = outcome.shortfall.registered
    photos = counted(len(outcome.photos.used), "photo")
    return "" if count is None else f"{count} of {photos} registered"


def _is_model(path: Path) -> bool:
    return path.name == MODEL_NAME
