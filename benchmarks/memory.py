#!/usr/bin/env python3
"""What memory a reconstruction takes, what limits do to it, and how well that is predicted.

    python benchmarks/memory.py resizing limits batch prediction --json bench-out/memory.json

resizing     full size against our defaults, on photos of 12 MP: time ratio, peak share of the
             limit; with --pipeline openmvg-openmvs under that one. Full size can take an hour:
             --patience 8 stops it after eight times what the defaults took
limits       one set in 2 GiB, 1 GiB and 768 MiB: whether it finishes, and what was degraded
batch        8 sets under 3 GiB, together against one after the other
prediction   predicted against measured peak of every stage, before and after one run for
             calibration

Each part can be run alone. Figures depend on the machine: compare ratios, or runs on the same one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table

from evaluation import SHARED
from insaat_cli.machine.limits import machine_limits
from insaat_cli.scenes import Subject, make_photo_set
from limited import run_limited
from measure import measured

MIB = 1 << 20
LIMITS_MIB = (2048, 1024, 768)
BATCH_BUDGET = "3GiB"
BATCH_PHOTOS = (8, 9, 10, 11, 12, 13, 14, 16)
BATCH_SIZE = (1000, 750)
LARGE_WIDTH = 4000
"""Of Sceaux upsampled: 12 megapixels."""
LARGE_PHOTOS = 6
"""So that full size takes minutes, not an hour."""
FULL = 5_000
WITHOUT_RESIZING = {
    "embedded": tuple(
        f"--set={stage}.max_side={FULL}" for stage in ("resize", "features", "sparse", "dense")
    ),
    "openmvg-openmvs": (
        f"--set=resize.max_side={FULL}",
        f"--set=dense.max_resolution={FULL}",
        "--set=dense.resolution_level=0",
        "--set=texture.resolution_level=0",
    ),
}
MIN_RATIO, MAX_RATIO = 0.9, 1.25
MIN_AT_FIRST = 0.8
RENDERED = {"statue": Subject.STATUE, "facade": Subject.FACADE}


@dataclass(kw_only=True)
class Bench:
    """Where things are, and the figures so far."""

    scratch: Path
    preset: str
    pipeline: str
    console: Console
    patience: float = math.inf
    figures: dict[str, Any] = field(default_factory=dict)

    def insaat(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "insaat_cli", *arguments]

    def show(self, part: str, head: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Print a table and keep its rows for the JSON file."""
        self.figures[part] = list(rows)
        table = Table(*head, title=part)
        for row in rows:
            table.add_row(*(str(row[name]) for name in head))
        self.console.print(table)


def resizing(bench: Bench) -> None:
    """The mission's experiment: what resizing saves."""
    photos = upsampled(SHARED / "data" / "sceaux", bench.scratch / "large")
    limit = machine_limits().memory_bytes
    rows = []
    full = WITHOUT_RESIZING[bench.pipeline]
    for name, settings in (("defaults", ()), ("full size", full)):
        output = bench.scratch / f"resizing-{len(rows)}"
        command = bench.insaat("reconstruct", str(photos), "-o", str(output), *settings)
        command += ["--pipeline", bench.pipeline, "--preset", bench.preset]
        patience = bench.patience * rows[0]["seconds"] if rows else math.inf
        took = measured(command, log=bench.scratch / "resizing.log", at_most_s=patience)
        rows.append(
            {
                "run": name,
                "exit": took.exit_code,
                "seconds": round(took.seconds, 1),
                "peak MB": round(took.peak_bytes / 1e6),
                "share of limit": round(took.peak_bytes / limit, 3),
            }
        )
        times = f"{rows[-1]['seconds'] / rows[0]['seconds']:.1f}"
        rows[-1]["times defaults"] = f"more than {times}" if took.stopped else times
        shutil.rmtree(output, ignore_errors=True)
    bench.show("resizing", list(rows[0]), rows)


def limits(bench: Bench) -> None:
    """One set under smaller and smaller limits."""
    rows = []
    for mib in LIMITS_MIB:
        output = bench.scratch / f"limit-{mib}"
        command = bench.insaat(
            "reconstruct", str(SHARED / "data" / "sceaux"), "-o", str(output), "--preset"
        )
        log = bench.scratch / f"limit-{mib}.log"
        took = run_limited([*command, bench.preset], mib * MIB, log)
        record = _record(output)
        rows.append(
            {
                "limit MiB": mib,
                "by": took.kind,
                "exit": took.exit_code,
                "OOM kills": took.oom_kills,
                "peak MB": round(record.get("peak_bytes", 0) / 1e6),
                "budget MB": round(record.get("memory_budget_bytes", 0) / 1e6),
                "degraded": "; ".join(
                    f"{stage['name']}: {step}"
                    for stage in record.get("stages", [])
                    for step in stage["degraded"]
                )
                or "nothing",
            }
        )
    bench.show("limits", list(rows[0]), rows)


def batch(bench: Bench) -> None:
    """Many sets under one budget, against the same one after the other."""
    folder = bench.scratch / "sets"
    for number, photos in enumerate(BATCH_PHOTOS):
        subject = list(RENDERED.values())[number % len(RENDERED)]
        width, height = BATCH_SIZE
        made = make_photo_set(
            bench.scratch / f"set-{number}",
            subject=subject,
            photos=photos,
            width=width,
            height=height,
        )
        shutil.copytree(made.images, folder / f"s{number}")
    common = ["--max-memory", BATCH_BUDGET, "--preset", bench.preset]
    single = 0.0
    for number in range(len(BATCH_PHOTOS)):
        output = str(bench.scratch / "single" / f"s{number}")
        command = bench.insaat("reconstruct", str(folder / f"s{number}"), "-o", output, *common)
        single += measured(command, log=bench.scratch / "single.log").seconds
    command = bench.insaat("batch", str(folder), "-o", str(bench.scratch / "all"), *common)
    took = measured(command, log=bench.scratch / "batch.log")
    row = {
        "sets": len(BATCH_PHOTOS),
        "exit": took.exit_code,
        "one after the other s": round(single, 1),
        "together s": round(took.seconds, 1),
        "ratio": round(took.seconds / single, 2),
        "peak MB": round(took.peak_bytes / 1e6),
        "budget MB": round(3072 * MIB / 1e6),
    }
    bench.show("batch", list(row), [row])


def prediction(bench: Bench) -> None:
    """Every stage's predicted and measured peak: at first, and after that run for calibration."""
    rows = []
    for name, photos in _sets(bench).items():
        predictions: list[dict[str, dict[str, Any]]] = []
        for attempt in ("calibration", "measured"):
            output = bench.scratch / f"prediction-{name}-{attempt}"
            command = bench.insaat("reconstruct", str(photos), "-o", str(output), "--preset")
            measured([*command, bench.preset], log=bench.scratch / f"prediction-{name}.log")
            predictions.append(
                {stage["name"]: stage for stage in _record(output).get("stages", [])}
            )
        first, second = predictions
        for stage, record in second.items():
            at_first, ratio = _ratio(first.get(stage, {})), _ratio(record)
            rows.append(
                {
                    "set": name,
                    "stage": stage,
                    "predicted MB": round(record["predicted_bytes"] / 1e6),
                    "measured MB": round(record["peak_bytes"] / 1e6),
                    "ratio at first": round(at_first, 2),
                    "ratio": round(ratio, 2),
                    "within": "yes" if MIN_RATIO <= ratio <= MAX_RATIO else "no",
                }
            )
    bench.show("prediction", list(rows[0]), rows)
    right = sum(row["within"] == "yes" for row in rows)
    bench.console.print(f"{right} of {len(rows)} predictions between 10 % below and 25 % above")
    safe = sum(row["ratio at first"] >= MIN_AT_FIRST for row in rows)
    bench.console.print(f"{safe} of {len(rows)} stages at most 25 % above the first prediction")


def _ratio(record: Mapping[str, Any]) -> float:
    """Predicted / measured peak of one stage."""
    return float(record.get("predicted_bytes", 0) / max(record.get("peak_bytes", 0), 1))


def _sets(bench: Bench) -> dict[str, Path]:
    data = SHARED / "data"
    sets = {"sceaux": data / "sceaux", "ogre": data / "ogre" / "images"}
    sets["fountain"] = data / "fountain-P11"
    for number, photos in enumerate((8, 12, 16, 20, 24)):
        subject = list(RENDERED.values())[number % len(RENDERED)]
        made = make_photo_set(bench.scratch / f"rendered-{photos}", subject=subject, photos=photos)
        sets[f"rendered-{photos}"] = made.images
    return {name: folder for name, folder in sets.items() if folder.is_dir()}


def upsampled(photos: Path, target: Path) -> Path:
    """The first of the same photos with more pixels, EXIF kept."""
    target.mkdir(parents=True)
    for photo in sorted(photos.glob("*.[jJ][pP][gG]"))[:LARGE_PHOTOS]:
        with Image.open(photo) as image:
            height = round(image.height * LARGE_WIDTH / image.width)
            larger = image.resize((LARGE_WIDTH, height), Image.Resampling.BICUBIC)
            larger.save(target / photo.name, quality=92, exif=image.getexif())
    return target


def _record(output: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((output / "run.json").read_text()))
    except (OSError, ValueError):
        return {}


PARTS: Mapping[str, Callable[[Bench], None]] = {
    "resizing": resizing,
    "limits": limits,
    "batch": batch,
    "prediction": prediction,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--preset", default="normal")
    parser.add_argument("--pipeline", default="embedded", choices=sorted(WITHOUT_RESIZING))
    parser.add_argument(
        "--patience", type=float, default=math.inf, metavar="TIMES",
        help="stop the run at full size after so many times what the defaults took",
    )  # fmt: skip
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    parts = arguments.parts or list(PARTS)
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]}; there is {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="insaat-memory-") as scratch:
        os.environ["INSAAT_STATE_DIR"] = str(Path(scratch) / "state")
        bench = Bench(
            scratch=Path(scratch),
            preset=arguments.preset,
            pipeline=arguments.pipeline,
            console=Console(),
            patience=arguments.patience,
        )
        for part in parts:
            PARTS[part](bench)
            if arguments.json:
                arguments.json.parent.mkdir(parents=True, exist_ok=True)
                machine = asdict(machine_limits())
                text = {"machine": machine, "preset": bench.preset, **bench.figures}
                arguments.json.write_text(json.dumps(text, indent=1))


if __name__ == "__main__":
    main()
