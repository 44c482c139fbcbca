"""report.html: what a run did, on one page that needs nothing else."""

from __future__ import annotations

import html
import json
from pathlib import Path

REPORT_NAME = "report.html"


def write_report(workspace: Path, *, command: tuple[str, ...] = ()) -> Path:
    """Write the report of the run in `workspace` and say where it is."""
    record = (workspace / "run.json").read_text(encoding="utf-8")
    text = html.escape(json.dumps(json.loads(record), indent=1))
    path = workspace / REPORT_NAME
    path.write_text(f"<!doctype html><title>insaat</title><pre>{text}</pre>", encoding="utf-8")
    return path
