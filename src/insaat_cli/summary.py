"""The end of a reconstruction in a few lines: how it went and where the results are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from insaat_cli.reconstruction import Reconstruction
from insaat_cli.run_plan import RunResult
from insaat_cli.wording import counted, duration, printable, size

MODEL_NAME = "model.glb"
REGISTERING_STAGE = "sparse"


def summary_lines(outcome: Reconstruction) -> list[str]:
    """What is said when a reconstruction has ended well."""
    run = outcome.run
    if outcome.report is None:
        return [f"nothing was written; the results would be in {printable(str(run.workspace))}"]
    words = [_verdict(outcome), f"peak memory {size(run.peak_bytes)}" if run.peak_bytes else ""]
    facts = ", ".join(word for word in words if word)
    lines = [f"done in {duration(run.seconds)}{': ' if facts else ''}{facts}"]
    if lowered := given_up(run):
        lines.append(f"  {counted(len(lowered), 'setting')} lowered on the way, see the report")
    lines += [f"  model   {printable(str(path))}" for path in run.results if _is_model(path)]
    lines.append(f"  report  {printable(str(outcome.report))}")
    others = [printable(path.name) for path in run.results if not _is_model(path)]
    if others:
        lines.append(f"  also    {', '.join(others)}")
    return lines


def summary_fields(outcome: Reconstruction) -> dict[str, Any]:
    """The same for a program."""
    run = outcome.run
    return {
        "event": "summary",
        "workspace": str(run.workspace),
        "photos": len(outcome.photos.used),
        "registered": registered(run),
        "results": {path.name: str(path) for path in run.results},
        "report": str(outcome.report) if outcome.report else None,
        "seconds": round(run.seconds, 3),
        "peak_bytes": run.peak_bytes,
        "given_up": given_up(run),
    }


def given_up(run: RunResult) -> list[str]:
    """What ran with lower settings than asked for, one sentence each."""
    return [f"{stage.title}: {step}" for stage in run.stages for step in stage.degraded]


def registered(run: RunResult) -> int | None:
    """How many photos found their place; None before the stage that says so."""
    for stage in run.stages:
        count = stage.metrics.get("registered")
        if stage.name == REGISTERING_STAGE and isinstance(count, int):
            return count
    return None


def _verdict(outcome: Reconstruction) -> str:
    count = registered(outcome.run)
    photos = counted(len(outcome.photos.used), "photo")
    return "" if count is None else f"{count} of {photos} placed"


def _is_model(path: Path) -> bool:
    return path.name == MODEL_NAME
