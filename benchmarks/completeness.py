#!/usr/bin/env python3
"""How complete the models are, beside OpenMVS's from the same cameras.

    python benchmarks/completeness.py --sets castle room --json bench-out/completeness.json
    python benchmarks/completeness.py --photos my-photos other-photos

Every set runs through the `insaat` command in an empty workspace. Where OpenMVS is found
(INSAAT_OPENMVS_BIN or PATH), it makes a model from the cameras that this run registered, in the
same call. Both are scored by evalmodel.py from the true cameras; where none are known, from the
registered ones, which says what share of the photos the model fills and how alike it looks, but
nothing on accuracy. Processor seconds are those of all processes, also of the other program's;
the steps up to the cameras count for both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluation import SHARED, evaluate, straightened
from insaat_cli.engine.scene.views import load_scene
from insaat_cli.external.programs import OPENMVS_PROGRAMS, locate
from insaat_cli.scenes import Subject, make_photo_set
from measure import measured
from reconstruct import insaat, work_folder

DATA = SHARED / "data"
RENDERED = {"room": Subject.ROOM, "facade": Subject.FACADE, "statue": Subject.STATUE}
RENDERED_PHOTOS = 30
ROOM_GROUND = -1.0
KNOWN = ("castle", "room", "facade", "sceaux", "banana", "ogre", "fountain", "brighton", "statue")
DEFAULT = ("castle", "room", "facade", "sceaux", "banana")
UNTIL_CAMERAS = ("resize", "features", "matching", "sparse")
"""Stages that both pipelines share, with the same parameters."""
FIGURES = ("F@0.5%", "P@0.5%", "R@0.5%", "F@1%", "P@1%", "R@1%", "covered", "psnr_db")


@dataclass(frozen=True, kw_only=True)
class PhotoSet:
    """Photos and what is known of them."""

    name: str
    photos: Path
    truth: Path | None = None
    """Holds cameras.json and perhaps object.ply."""
    images: Path | None = None
    """Photos without distortion, as seen by the true cameras."""
    ground: float | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One model of one set, by one program."""

    photo_set: str
    program: str
    exit_code: int
    seconds: float
    cpu_s: float
    registered: str = ""
    judged_by: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def photo_set(name: str, scratch: Path) -> PhotoSet | None:
    """The set of that name, rendered if it is one of ours; None if its data is absent."""
    if name in RENDERED:
        truth = make_photo_set(
            scratch / f"{name}-photos", photos=RENDERED_PHOTOS, subject=RENDERED[name]
        )
        return PhotoSet(
            name=name,
            photos=truth.images,
            truth=truth.folder,
            images=straightened(truth.folder, scratch / f"{name}-straight"),
            ground=ROOM_GROUND if RENDERED[name] is Subject.ROOM else None,
        )
    folders = {"castle": "castle-P19", "fountain": "fountain-P11", "brighton": "brighton-beach"}
    folder = DATA / folders.get(name, name)
    if not folder.is_dir():
        return None
    photos = folder / "images" if (folder / "images").is_dir() else folder
    if not (folder / "cameras.json").is_file():
        return PhotoSet(name=name, photos=photos)
    return PhotoSet(name=name, photos=photos, truth=folder, images=photos)


def own_cameras(workspace: Path, into: Path) -> tuple[Path, Path]:
    """What evalmodel.py calls truth from the cameras of a finished run, and its pictures."""
    undistorted = workspace / "stages" / "undistort"
    entries = []
    for view in load_scene(next(undistorted.glob("**/cameras.bin")).parent).views:
        entries.append(
            {
                "name": view.name,
                "R": view.R.tolist(),
                "t": view.t.tolist(),
                "C": view.center.tolist(),
                "fx": view.K[0, 0],
                "fy": view.K[1, 1],
                "cx": view.K[0, 2] + 0.5,  # the scorer counts from the pixel's corner
                "cy": view.K[1, 2] + 0.5,
                "w": view.width,
                "h": view.height,
            }
        )
    into.mkdir(parents=True, exist_ok=True)
    (into / "cameras.json").write_text(json.dumps(entries), encoding="utf-8")
    return into, undistorted / "images"


def reconstruct(photos: PhotoSet, workspace: Path, arguments: list[str], program: str) -> Outcome:
    """Run `insaat reconstruct` and say what it took; the model is judged afterwards."""
    command = [insaat(), "reconstruct", str(photos.photos), "-o", str(workspace), "--json"]
    log = workspace.with_suffix(".log")
    took = measured([*command, *arguments], log=log)
    outcome = Outcome(
        photo_set=photos.name,
        program=program,
        exit_code=took.exit_code,
        seconds=took.seconds,
        cpu_s=took.cpu_seconds,
    )
    if took.exit_code == 0:
        return outcome
    text = log.read_text(encoding="utf-8", errors="replace")
    return Outcome(**{**vars(outcome), "error": text[-500:]})


def judged(outcome: Outcome, photos: PhotoSet, workspace: Path, cameras: Path) -> Outcome:
    """`outcome` with the scorer's figures; `cameras` is a finished run with our cameras."""
    if outcome.exit_code != 0:
        return outcome
    record = json.loads((workspace / "run.json").read_text(encoding="utf-8"))
    found = json.loads((workspace / "cameras.json").read_text(encoding="utf-8"))["images"]
    truth, images, judged_by = photos.truth, photos.images, "true cameras"
    if truth is None:
        truth, images = own_cameras(cameras, workspace.with_name(f"{photos.name}-own-cameras"))
        judged_by = "own cameras"
    try:
        figures = evaluate(workspace, truth, images, ground=photos.ground)
        error = ""
    except RuntimeError as failure:
        figures, error = {}, str(failure)
    return Outcome(
        **{
            **vars(outcome),
            "registered": f"{len(found)}/{len(record['photos'])}",
            "judged_by": judged_by,
            "figures": figures | surface_shares(record),
            "error": error,
        }
    )


def surface_shares(record: dict[str, Any]) -> dict[str, Any]:
    """Shares of the surface that were completed or closed, as far as run.json names them."""
    found = {}
    for stage in record["stages"]:
        for key, value in (stage.get("metrics") or {}).items():
            if key in ("completed_share", "closed_share") and stage["name"] == "surface":
                found[key] = value
    return found


def openmvs_found() -> bool:
    """Whether all programs of OpenMVS that a model takes are there."""
    return all(locate(program) is not None for program in OPENMVS_PROGRAMS)


def with_our_cameras(ours: Path, workspace: Path) -> list[str]:
    """A workspace that has only the cameras of the run in `ours`, and the settings they need."""
    shutil.rmtree(workspace, ignore_errors=True)

    def later(folder: str, names: list[str]) -> list[str]:
        stages = Path(folder) == ours / "stages"
        return [name for name in names if stages and name.split(".")[0] not in UNTIL_CAMERAS]

    shutil.copytree(ours, workspace, ignore=later)
    parameters = json.loads((ours / "run.json").read_text(encoding="utf-8"))["params"]
    settings = []
    for name in UNTIL_CAMERAS:
        for key, value in parameters[name].items():
            settings += ["--set", f"{name}.{key}={json.dumps(value).strip(chr(34))}"]
    return settings


def cpu_until_cameras(workspace: Path) -> float:
    """Processor seconds of the stages that the other program's run took over."""
    record = json.loads((workspace / "run.json").read_text(encoding="utf-8"))
    return sum(
        float(stage["cpu_seconds"]) for stage in record["stages"] if stage["name"] in UNTIL_CAMERAS
    )


def both(photos: PhotoSet, scratch: Path, options: argparse.Namespace) -> list[Outcome]:
    """Ours, and OpenMVS's from our cameras where it is there."""
    ours = scratch / photos.name
    shutil.rmtree(ours, ignore_errors=True)
    settings = [part for setting in options.set for part in ("--set", setting)]
    first = reconstruct(photos, ours, ["--preset", options.preset, *settings], "insaat")
    outcomes = [judged(first, photos, ours, ours)]
    if first.exit_code != 0 or options.no_openmvs or not openmvs_found():
        return outcomes
    theirs = scratch / f"{photos.name}-openmvs"
    settings = with_our_cameras(ours, theirs)
    arguments = ["--pipeline", "colmap-openmvs", "--preset", options.openmvs_preset, *settings]
    second = reconstruct(photos, theirs, arguments, "OpenMVS")
    second = Outcome(**{**vars(second), "cpu_s": second.cpu_s + cpu_until_cameras(ours)})
    return [*outcomes, judged(second, photos, theirs, ours)]


def table(outcomes: list[Outcome]) -> Table:
    """One line a model."""
    result = Table(title="completeness", title_justify="left")
    for name in ("set", "program", "registered", *FIGURES, "completed", "cpu s", "judged by"):
        result.add_column(name, justify="left" if name in ("set", "program") else "right")
    for one in outcomes:
        result.add_row(
            one.photo_set,
            one.program,
            one.registered or f"exit {one.exit_code}",
            *(str(one.figures.get(name, "")) for name in FIGURES),
            str(one.figures.get("completed_share", "")),
            f"{one.cpu_s:.0f}",
            one.judged_by,
        )
    return result


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", choices=KNOWN, default=None)
    parser.add_argument("--photos", nargs="*", type=Path, default=[], help="folders of your own")
    parser.add_argument("--preset", default="normal")
    parser.add_argument("--openmvs-preset", default="draft")
    parser.add_argument("--no-openmvs", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.KEY=VALUE")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--keep", type=Path, help="keep photos and workspaces in this folder")
    return parser.parse_args()


def main() -> int:
    """Run the sets one after the other; 1 if one of them failed."""
    options, console = parse(), Console(width=None if sys.stdout.isatty() else 180)
    names = options.sets if options.sets is not None else ([] if options.photos else DEFAULT)
    outcomes: list[Outcome] = []
    with work_folder(options.keep) as scratch:
        sets = [photo_set(name, scratch) for name in names]
        for name, found in zip(names, sets, strict=True):
            if found is None:
                console.print(f"{name}: left out, its photos are not in {DATA}")
        own = [own_set(folder) for folder in options.photos]
        for photos in [*(found for found in sets if found), *own]:
            outcomes += both(photos, scratch, options)
            for one in outcomes:
                if one.error and one.photo_set == photos.name:
                    console.print(f"{one.photo_set}, {one.program}: {one.error}", markup=False)
            if options.json:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                report = {"cores": os.cpu_count(), "results": [vars(one) for one in outcomes]}
                options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    console.print(table(outcomes))
    return int(any(one.exit_code != 0 for one in outcomes))


def own_set(folder: Path) -> PhotoSet:
    """A folder of photos; with cameras.json beside `images/` it is one with known truth."""
    truth = folder if (folder / "cameras.json").is_file() else None
    photos = folder / "images" if (folder / "images").is_dir() else folder
    images = photos if truth else None
    return PhotoSet(name=folder.resolve().name, photos=photos, truth=truth, images=images)


if __name__ == "__main__":
    sys.exit(main())
