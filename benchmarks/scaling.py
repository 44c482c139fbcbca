#!/usr/bin/env python3
"""How cost grows with the number of photos: memory, matching and registration at 2 megapixels.

    python benchmarks/scaling.py --photos 30 100 --json bench-out/scaling.json
    python benchmarks/scaling.py --photos 30 100 300 --width 640 --until matching

The statue is photographed from all around; each count is its own set. What matters is the ratio
to the first count: peak memory must stay nearly flat, and the cost of matching a photo too.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from insaat_cli.scenes import make_photo_set
from measure import measured
from reconstruct import insaat, work_folder

WIDTH = 1632
"""Two megapixels."""


def run_count(count: int, scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Render and reconstruct one set; its figures."""
    truth = make_photo_set(
        scratch / f"photos-{count}",
        photos=count,
        width=options.width,
        height=round(options.width * 3 / 4),
    )
    workspace = scratch / f"model-{count}"
    command = [insaat(), "reconstruct", str(truth.images), "-o", str(workspace), "--json"]
    command += ["--preset", options.preset, "--restart"]
    if options.until:
        command += ["--until", options.until]
    log = scratch / f"log-{count}.txt"
    outcome = measured(command, log=log)
    figures: dict[str, Any] = {
        "photos": count,
        "exit_code": outcome.exit_code,
        "seconds": outcome.seconds,
        "peak_bytes": outcome.peak_bytes,
    }
    if outcome.exit_code != 0:
        figures["error"] = log.read_text(encoding="utf-8", errors="replace")[-500:]
        return figures
    run = json.loads((workspace / "run.json").read_text(encoding="utf-8"))
    figures["stages"] = {
        stage["name"]: {key: stage[key] for key in ("seconds", "peak_bytes", "metrics")}
        for stage in run["stages"]
    }
    if "sparse" in figures["stages"]:
        figures["registered"] = figures["stages"]["sparse"]["metrics"]["registered"]
    return figures


def table_of(results: list[dict[str, Any]]) -> Table:
    """One line a count, with ratios to the first."""
    table = Table(title="growth with the number of photos", title_justify="left")
    names = ("photos", "registered", "peak MB", "peak ratio", "seconds", "s / photo",
             "matching s", "matching s / photo")  # fmt: skip
    for name in names:
        table.add_column(name, justify="right")
    first = results[0]["peak_bytes"]
    for result in results:
        count, seconds = result["photos"], result["seconds"]
        matching = result.get("stages", {}).get("matching", {}).get("seconds", 0.0)
        table.add_row(
            str(count),
            str(result.get("registered", "" if not result["exit_code"] else "failed")),
            f"{result['peak_bytes'] / 1e6:.0f}",
            f"{result['peak_bytes'] / first:.2f}",
            f"{seconds:.1f}",
            f"{seconds / count:.2f}",
            f"{matching:.1f}",
            f"{matching / count:.3f}",
        )
    return table


def main() -> int:
    """Run all counts; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", nargs="+", type=int, default=[30, 100])
    parser.add_argument("--preset", default="normal")
    parser.add_argument("--width", type=int, default=WIDTH, help="of the photos, in pixels")
    parser.add_argument("--until", help="stop after this stage, such as sparse")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--keep", type=Path, help="keep photos and workspaces in this folder")
    options = parser.parse_args()
    results = []
    with work_folder(options.keep) as scratch:
        for count in options.photos:
            results.append(run_count(count, scratch, options))
            if options.json:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                options.json.write_text(json.dumps({"results": results}, indent=1))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table_of(results))
    for result in results:
        if "error" in result:
            console.print(result["error"], markup=False)
    return int(any(result["exit_code"] != 0 for result in results))


if __name__ == "__main__":
    sys.exit(main())
