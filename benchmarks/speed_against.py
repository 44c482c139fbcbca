#!/usr/bin/env python3
"""Processor seconds of whole reconstructions against those of an earlier commit, stage by stage.

    python benchmarks/speed_against.py --baseline a0c4cff --sets ogre sceaux fountain

The commit is checked out into a folder of its own. Both trees run with this Python, in turns, so
that a machine that grows slower meanwhile is slower for both, and in another order each time. What
is counted is user and system time of all processes. Kernels are compiled before, on a small
rendered set; what this first run took is told apart. Exit code 1 where a set takes more than
--limit of the baseline's time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluation import evaluate
from insaat_cli.scenes import make_photo_set
from measure import measured
from reconstruct import KNOWN_SETS, SHARED_SETS, PhotoSet, photo_set, work_folder

HERE = Path(__file__).resolve().parents[1]
CLOCK = Path(__file__).with_name("stage_clock")
BOARD = "runner"
"""What is left when the stages are taken off: the command itself and what watches the stages."""
SCORES = ("P@0.5%", "F@0.5%", "F@1%", "psnr_db", "covered", "centre_err_median_pct")


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A checkout to measure."""

    name: str
    root: Path

    def python_path(self) -> str:
        return os.pathsep.join((str(self.root / "src"), str(CLOCK)))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run of one tree."""

    cpu_seconds: float
    seconds: float
    peak_bytes: int
    stages: dict[str, float]
    """Processor seconds."""
    scores: dict[str, Any]


@contextmanager
def checkout(commit: str, scratch: Path, *, keep: bool) -> Iterator[Tree]:
    """A worktree of `commit` below `scratch`; with `keep` it stays, and its compiled kernels."""
    root = scratch / "baseline"
    if not root.exists():
        git("worktree", "add", "--detach", str(root), commit)
    git("-C", str(root), "checkout", "--detach", commit)
    try:
        yield Tree(name=commit, root=root)
    finally:
        if not keep:
            git("worktree", "remove", "--force", str(root))


def git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(HERE), *arguments], check=True, capture_output=True)


def run_tree(tree: Tree, photos: PhotoSet, folder: Path, options: argparse.Namespace) -> Outcome:
    """Reconstruct `photos` with the code of `tree`; SystemExit if it fails."""
    workspace = folder / f"{photos.name}-{tree.name}"
    shutil.rmtree(workspace, ignore_errors=True)
    clock, log = workspace.with_suffix(".clock"), workspace.with_suffix(".log")
    clock.unlink(missing_ok=True)
    command = [sys.executable, "-m", "insaat_cli", "reconstruct", str(photos.photos), "--json"]
    command += ["-o", str(workspace), "--preset", options.preset]
    if options.until:
        command += ["--until", options.until]
    environment = {"PYTHONPATH": tree.python_path(), "STAGE_CLOCK": str(clock)}
    environment |= {"PYTHONDONTWRITEBYTECODE": ""}  # as installed: modules compiled once
    outcome = measured(command, log=log, environment=environment)
    if outcome.exit_code:
        raise SystemExit(f"{photos.name}, {tree.name}: exit {outcome.exit_code}; see {log}")
    scores: dict[str, Any] = {}
    if photos.truth is not None and not options.no_accuracy and not options.until:
        try:
            scores = evaluate(workspace, photos.truth, photos.images)
        except RuntimeError as error:
            scores = {"error": str(error)}
    return Outcome(
        cpu_seconds=outcome.cpu_seconds,
        seconds=outcome.seconds,
        peak_bytes=outcome.peak_bytes,
        stages=stage_seconds(clock, outcome.cpu_seconds),
        scores=scores,
    )


def stage_seconds(clock: Path, whole_s: float) -> dict[str, float]:
    """Processor seconds by stage, and of what is no stage, from the lines of `stage_clock`."""
    stages: dict[str, float] = {}
    for line in clock.read_text(encoding="utf-8").splitlines():
        module, seconds = line.rsplit(" ", 1)
        if module.startswith("insaat_cli.stages."):
            name = module.rpartition(".")[2]
            stages[name] = stages.get(name, 0.0) + float(seconds)
    return stages | {BOARD: whole_s - sum(stages.values())}


def compare(
    trees: tuple[Tree, Tree], photos: PhotoSet, folder: Path, options: argparse.Namespace
) -> dict[str, list[Outcome]]:
    """Both trees on one set, in turns."""
    outcomes: dict[str, list[Outcome]] = {tree.name: [] for tree in trees}
    for turn in range(options.repeat):
        for tree in trees if turn % 2 == 0 else trees[::-1]:
            outcomes[tree.name].append(run_tree(tree, photos, folder, options))
    return outcomes


def medians(outcomes: list[Outcome]) -> dict[str, float]:
    """Processor seconds of each stage and in all, the median of the repetitions."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.stages)
    figures = {
        name: statistics.median(outcome.stages.get(name, 0.0) for outcome in outcomes)
        for name in names
    }
    return figures | {"all": statistics.median(one.cpu_seconds for one in outcomes)}


def table_of(name: str, outcomes: dict[str, list[Outcome]], wanted: list[str]) -> Table:
    """Processor seconds side by side, and the scores below."""
    (before_name, before), (after_name, after) = (
        (tree, medians(found)) for tree, found in outcomes.items()
    )
    for tree, found in outcomes.items():
        if "error" in found[-1].scores:
            print(f"{name}, {tree}: no scores: {found[-1].scores['error']}")
    table = Table(title=f"{name}: processor seconds", title_justify="left")
    for heading in ("stage", before_name, after_name, "ratio"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage in dict.fromkeys((*before, *after)):
        if wanted and stage not in (*wanted, "all"):
            continue
        old, new = before.get(stage, 0.0), after.get(stage, 0.0)
        table.add_row(stage, f"{old:.1f}", f"{new:.1f}", f"{new / old:.2f}" if old else "")
    scores = [found[-1].scores for found in outcomes.values()]
    for score in SCORES:
        values = [str(one.get(score, "")) for one in scores]
        if any(values):
            table.add_row(score, *values, "", style="dim")
    return table


def warm_up(
    trees: tuple[Tree, ...], scratch: Path, options: argparse.Namespace, console: Console
) -> None:
    """Let both trees compile their kernels, and say what this first run took."""
    made = make_photo_set(scratch / "first", photos=12, width=960, height=720, arc=180)
    photos = PhotoSet(name="first", photos=made.images)
    whole = argparse.Namespace(**{**vars(options), "until": ""})
    for tree in trees:
        first, again = (run_tree(tree, photos, scratch, whole) for _ in range(2))
        console.print(
            f"{tree.name}: a small set for the first time {first.cpu_seconds:.1f} processor "
            f"seconds, again {again.cpu_seconds:.1f}"
        )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", required=True, metavar="COMMIT")
    parser.add_argument("--sets", nargs="+", choices=KNOWN_SETS, default=list(SHARED_SETS))
    parser.add_argument("--stages", nargs="+", default=[], help="show only these")
    parser.add_argument("--preset", default="normal")
    parser.add_argument("--until", default="", metavar="STAGE", help="go no further than this")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each tree; medians count")
    parser.add_argument("--limit", type=float, default=0.6, help="of the baseline's time")
    parser.add_argument("--no-warm-up", action="store_true", help="kernels are compiled already")
    parser.add_argument("--no-accuracy", action="store_true", help="time only")
    parser.add_argument("--keep", type=Path, help="keep checkout and workspaces in this folder")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args()


def main() -> int:
    """Compare; 1 if a set is over the limit."""
    options, console = parse(), Console(width=None if sys.stdout.isatty() else 100)
    figures: dict[str, Any] = {}
    slow = []
    with work_folder(options.keep) as scratch, ExitStack() as stack:
        kept = checkout(options.baseline, scratch, keep=options.keep is not None)
        baseline = stack.enter_context(kept)
        trees = (baseline, Tree(name="here", root=HERE))
        if not options.no_warm_up:
            warm_up(trees, scratch, options, console)
        for name in options.sets:
            photos = photo_set(name, scratch)
            if photos is None:
                console.print(f"{name}: left out, its photos are not there")
                continue
            outcomes = compare(trees, photos, scratch, options)
            console.print(table_of(name, outcomes, options.stages))
            before, after = (medians(found)["all"] for found in outcomes.values())
            if after > options.limit * before:
                slow.append(name)
            figures[name] = {tree: [vars(one) for one in found] for tree, found in outcomes.items()}
            if options.json:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    console.print(f"over {options.limit} of the baseline: {', '.join(slow) or 'none'}")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
