#!/usr/bin/env python3
"""Time, peak memory and accuracy of whole reconstructions, stage by stage.

    python benchmarks/reconstruct.py --sets ogre demo --json bench-out/reconstruct.json

Every set runs through the `insaat` command in an empty workspace and is scored by evalmodel.py.
Figures depend on the machine: compare shares and ratios, or runs on the same one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluation import SHARED, evaluate, straightened
from insaat_cli.scenes import Subject, make_photo_set
from measure import measured

MB = 1e6
DATA = SHARED / "data"
SHARED_SETS = ("sceaux", "ogre", "fountain")
RENDERED_SETS = {"demo": Subject.STATUE, "facade": Subject.FACADE}
DEFAULT_SETS = (*SHARED_SETS, "demo")
KNOWN_SETS = (*SHARED_SETS, "castle", "banana", *RENDERED_SETS)


@dataclass(frozen=True, kw_only=True)
class PhotoSet:
    """Photos and what is known of them."""

    name: str
    photos: Path
    truth: Path | None = None
    images: Path | None = None
    """Photos without distortion."""


def photo_set(name: str, scratch: Path) -> PhotoSet | None:
    """The set of that name, rendered if it is one of ours; None if its data is absent."""
    if name in RENDERED_SETS:
        truth = make_photo_set(scratch / f"{name}-photos", subject=RENDERED_SETS[name])
        images = straightened(truth.folder, scratch / f"{name}-straight")
        return PhotoSet(name=name, photos=truth.images, truth=truth.folder, images=images)
    if not DATA.is_dir():
        return None
    sceaux, ogre, fountain = DATA / "sceaux", DATA / "ogre", DATA / "fountain-P11"
    castle = DATA / "castle-P19"
    known = {
        "sceaux": PhotoSet(name="sceaux", photos=sceaux),
        "ogre": PhotoSet(name="ogre", photos=ogre / "images", truth=ogre, images=ogre / "images"),
        "fountain": PhotoSet(name="fountain", photos=fountain, truth=fountain, images=fountain),
        "castle": PhotoSet(name="castle", photos=castle, truth=castle, images=castle),
        "banana": PhotoSet(name="banana", photos=DATA / "banana"),
    }
    return known[name]


def insaat() -> str:
    """The command that belongs to this Python."""
    beside = Path(sys.executable).with_name("insaat")
    return str(beside) if beside.exists() else "insaat"


def run_set(photos: PhotoSet, workspace: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Reconstruct one set and collect its figures."""
    shutil.rmtree(workspace, ignore_errors=True)
    command = [insaat(), "reconstruct", str(photos.photos), "-o", str(workspace), "--json"]
    command += ["--preset", options.preset]
    for setting in options.set:
        command += ["--set", setting]
    log = workspace.with_suffix(".log")
    outcome = measured(command, log=log)
    figures: dict[str, Any] = {"set": photos.name, "preset": options.preset, **asdict(outcome)}
    record = workspace / "run.json"
    if record.exists():
        run = json.loads(record.read_text(encoding="utf-8"))
        kept = ("name", "status", "seconds", "peak_bytes", "predicted_bytes", "metrics", "warnings")
        figures["stages"] = [{key: stage[key] for key in kept} for stage in run["stages"]]
        figures["photos"] = len(run["photos"])
    if outcome.exit_code != 0:
        figures["error"] = log.read_text(encoding="utf-8", errors="replace")[-500:]
        return figures
    cameras = json.loads((workspace / "cameras.json").read_text(encoding="utf-8"))
    figures["registered"] = len(cameras["images"])
    if photos.truth is not None and not options.no_accuracy:
        try:
            figures["accuracy"] = evaluate(workspace, photos.truth, photos.images)
        except RuntimeError as error:
            figures["accuracy_error"] = str(error)
    return figures


def stage_table(figures: dict[str, Any]) -> Table:
    """Seconds and memory of every stage of one set."""
    title = f"{figures['set']}, {figures.get('photos', '?')} photos, {figures['preset']}"
    table = Table(title=title, title_justify="left")
    for name in ("stage", "seconds", "share", "peak MB", "peak / predicted"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    total = figures["seconds"]
    for stage in figures.get("stages", []):
        predicted = stage["predicted_bytes"]
        ratio = f"{stage['peak_bytes'] / predicted:.2f}" if predicted else ""
        seconds, peak = stage["seconds"], stage["peak_bytes"] / MB
        share = f"{seconds / total:.0%}"
        table.add_row(stage["name"], f"{seconds:.1f}", share, f"{peak:.0f}", ratio)
    table.add_row("all", f"{total:.1f}", "", f"{figures['peak_bytes'] / MB:.0f}", "")
    return table


def summary_table(results: list[dict[str, Any]]) -> Table:
    """One line a set."""
    table = Table(title="all sets", title_justify="left")
    columns = ("F@0.5%", "F@1%", "psnr_db", "covered", "centre_err_median_pct")
    for name in ("set", "exit", "registered", "seconds", "peak MB", *columns):
        table.add_column(name, justify="left" if name == "set" else "right")
    for result in results:
        accuracy = result.get("accuracy", {})
        table.add_row(
            result["set"],
            str(result["exit_code"]),
            f"{result.get('registered', 0)}/{result.get('photos', '?')}",
            f"{result['seconds']:.1f}",
            f"{result['peak_bytes'] / MB:.0f}",
            *(str(accuracy.get(name, "")) for name in columns),
        )
    return table


@contextmanager
def work_folder(keep: Path | None) -> Iterator[Path]:
    """`keep`, or a folder that is gone afterwards."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="insaat-bench-") as folder:
        yield Path(folder)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=KNOWN_SETS, default=list(DEFAULT_SETS))
    parser.add_argument("--preset", default="normal")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.KEY=VALUE")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--keep", type=Path, help="keep photos and workspaces in this folder")
    parser.add_argument("--no-accuracy", action="store_true", help="time and memory only")
    return parser.parse_args()


def main() -> int:
    """Run the sets one after the other; 1 if one of them failed."""
    options, console = parse(), Console(width=None if sys.stdout.isatty() else 120)
    results = []
    with work_folder(options.keep) as scratch:
        for name in options.sets:
            photos = photo_set(name, scratch)
            if photos is None:
                console.print(f"{name}: left out, {DATA} is not there")
                continue
            figures = run_set(photos, scratch / name, options)
            console.print(stage_table(figures))
            for key in ("error", "accuracy_error"):
                if key in figures:
                    console.print(figures[key], markup=False)
            results.append(figures)
            if options.json:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                report = {"cores": os.cpu_count(), "results": results}
                options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    console.print(summary_table(results))
    return int(any(result["exit_code"] != 0 for result in results))


if __name__ == "__main__":
    sys.exit(main())
