"""report.html: what a run did, on one page that needs nothing else and runs no script."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path

from insaat_cli.formatting import printable
from insaat_cli.report.markup import element, raw_text
from insaat_cli.report.run_data import RunData, read_run
from insaat_cli.report.sections import all_sections

REPORT_NAME = "report.html"
POLICY = (
    "default-src 'none'; img-src data:; style-src 'sha256-{style}'; base-uri 'none'; "
    "form-action 'none'"
)


def write_report(workspace: Path, *, command: tuple[str, ...] = ()) -> Path:
    """Write the report of the last run in `workspace`, finished or failed, and say where it is.

    Raises OSError or ValueError where there is no run.json to report on.
    """
    text = page(read_run(workspace, command=command))
    path = workspace / REPORT_NAME
    fresh = workspace / f".{REPORT_NAME}.tmp"
    fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
    fresh.replace(path)
    return path


def page(run: RunData) -> str:
    """The whole page as HTML."""
    style = resources.files("insaat_cli.report").joinpath("assets", "report.css")
    css = raw_text(style.read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(css.encode("utf-8")).digest()).decode("ascii")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY.format(style=digest)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{printable(run.workspace.name)} · insaat"),
        element("style", css),
    )
    return "<!doctype html>\n" + element(
        "html", head, element("body", element("main", all_sections(run))), lang="en"
    )
