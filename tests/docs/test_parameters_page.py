"""docs/parameters.md is what its script writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "write_parameters.py"


def test_the_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("write_parameters", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = script.PAGE.read_text(encoding="utf-8")
    assert page == script.page(), "write it again with `make docs`"
    assert "| `max_side` | `800` | draft `340`, normal `900`, high `1300` | 64 to 5000 px |" in page
