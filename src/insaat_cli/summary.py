"""The end of a reconstruction in a few lines: how it went and where the results are."""

from __future__ import annotations

from typing import Any

from insaat_cli.reconstruction import Reconstruction
from insaat_cli.run_plan import RunResult
from insaat_cli.wording import counted, duration, printable, size

MAIN_RESULTS = {"model.glb": "model", "cloud.ply": "points", "cameras.json": "cameras"}
REGISTERING_STAGE = "sparse"


def summary_lines(outcome: Reconstruction) -> list[str]:
    """What is said when a reconstruction has ended well."""
    run = outcome.run
    if outcome.report is None:
        return [f"nothing was written; the results would be in {printable(str(run.workspace))}"]
    lines = [f"{_verdict(outcome)} in {duration(run.seconds)}, peak memory {size(run.peak_bytes)}"]
    given_up = [words for stage in run.stages for words in stage.degraded]
    if given_up:
        lines.append(f"  {counted(len(given_up), 'setting')} lowered on the way, see the report")
    named = {MAIN_RESULTS.get(path.name, path.suffix.lstrip(".")): path for path in run.results}
    named["report"] = outcome.report
    lines += [f"  {name:<8} {printable(str(path))}" for name, path in named.items()]
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
    }


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
    return "done" if count is None else f"done: {count} of {photos} placed,"
