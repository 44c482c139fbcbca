"""Which files of a finished run belong to the result of its job."""

from __future__ import annotations

from pathlib import Path

from insaat_cli.remote.queue.published_result import VIEWER_NAME
from insaat_cli.workspace.json_file import read_object
from insaat_cli.workspace.workspace import RECORD_NAME

REPORT_FILES = (RECORD_NAME, "report.html", VIEWER_NAME)


def published_files(output: Path) -> list[Path]:
    """What the run in `output` made, as its record says; nothing else that lies there."""
    results = read_object(output / RECORD_NAME).get("results")
    names = [*(results if isinstance(results, list) else []), *REPORT_FILES]
    return [path for name in names if (path := output / str(name)).is_file()]
