"""The steps of OpenMVG, each a call with checked results. Sources: OpenMVG's own usage texts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from insaat_cli.errors import DoNotFitError, StageError
from insaat_cli.external.openmvg_matches import Matches, count_features, read_matches
from insaat_cli.external.openmvg_sfm_data import SfmData, read_sfm_data, write_sfm_data
from insaat_cli.external.program_progress import Phase
from insaat_cli.external.run_program import ProgramCall, run_program

Progress = Callable[[float], None]
LISTING = "sfm_data.json"
FEATURES = "features"
PUTATIVE = "matches.putative.bin"
VERIFIED = "matches.verified.bin"
PAIRS = "pairs.bin"
HIGHER_PRESET = {"NORMAL": "HIGH", "HIGH": "ULTRA", "ULTRA": "ULTRA"}
EXHAUSTIVE_MAX = 120
"""Beyond so many photos, all pairs take too long."""


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """What ComputeFeatures is told."""

    method: str = "SIFT"
    preset: str = "NORMAL"
    upright: bool = False


@dataclass(frozen=True, kw_only=True)
class MatchOptions:
    """What PairGenerator, ComputeMatches and GeometricFilter are told."""

    pair_mode: str = "AUTO"
    contiguous_count: int = 10
    ratio: float = 0.8
    method: str = "AUTO"
    cache_size: int = 0
    preemptive_features: int = 0
    geometric_model: str = "f"
    guided: bool = False


@dataclass(frozen=True, kw_only=True)
class SolveOptions:
    """What SfM is told."""

    engine: str = "INCREMENTAL"
    refine_intrinsics: str = "ADJUST_ALL"
    triangulation: int = 3
    resection: int = 4


def take_listing(source: Path, images: Path, folder: Path) -> SfmData:
    """Copy a listing into `folder`, with the photos' present place in it."""
    listing = replace(read_sfm_data(source), images=str(images))
    write_sfm_data(listing, folder / LISTING)
    return listing


def compute_features(
    folder: Path, options: FeatureOptions, *, threads: int, progress: Progress
) -> dict[str, int]:
    """Fill `folder`/features; returns the number of features by photo."""
    arguments = ["-i", LISTING, "-o", FEATURES, "-m", options.method, "-p", options.preset]
    arguments += ["-u", str(int(options.upright)), "-n", str(threads)]
    run_program(
        ProgramCall(
            program="openMVG_main_ComputeFeatures",
            arguments=arguments,
            folder=folder,
            phases=[Phase(text="EXTRACT FEATURES")],
        ),
        progress,
    )
    return count_features(folder / FEATURES)


def match_features(
    folder: Path, photos: int, options: MatchOptions, *, progress: Progress
) -> tuple[Matches, Matches]:
    """Match the features beside the listing in `folder`; putative and verified matches.

    Writes into the feature folder: these programs look for features beside the matches.
    """
    mode = pair_mode(options.pair_mode, photos)
    arguments = ["-i", LISTING, "-o", f"{FEATURES}/{PAIRS}", "-m", mode]
    if mode == "CONTIGUOUS":
        arguments += ["-c", str(min(options.contiguous_count, max(1, photos - 1)))]
    run_program(
        ProgramCall(program="openMVG_main_PairGenerator", arguments=arguments, folder=folder),
        lambda share: None,
    )
    arguments = ["-i", LISTING, "-p", f"{FEATURES}/{PAIRS}", "-o", f"{FEATURES}/{PUTATIVE}"]
    arguments += ["-r", f"{options.ratio:g}", "-n", options.method]
    if options.cache_size:
        arguments += ["-c", str(options.cache_size)]
    if options.preemptive_features:
        arguments += ["-P", str(options.preemptive_features)]
    run_program(
        ProgramCall(
            program="openMVG_main_ComputeMatches",
            arguments=arguments,
            folder=folder,
            phases=[Phase(text="Loading", weight=0.2), Phase(text="- Matching -")],
        ),
        lambda share: progress(0.6 * share),
    )
    putative = _matches(folder / FEATURES / PUTATIVE)
    arguments = ["-i", LISTING, "-m", f"{FEATURES}/{PUTATIVE}", "-o", f"{FEATURES}/{VERIFIED}"]
    arguments += ["-g", options.geometric_model, "-r", str(int(options.guided))]
    if options.cache_size:
        arguments += ["-c", str(options.cache_size)]
    run_program(
        ProgramCall(
            program="openMVG_main_GeometricFilter",
            arguments=arguments,
            folder=folder,
            phases=[Phase(text="Loading", weight=0.2), Phase(text="Geometric filtering")],
        ),
        lambda share: progress(0.6 + 0.4 * share),
    )
    return putative, _matches(folder / FEATURES / VERIFIED)


def solve(folder: Path, options: SolveOptions, *, progress: Progress) -> SfmData:
    """Register the photos of the listing in `folder` from its verified matches.

    Raises DoNotFitError where OpenMVG finds nothing to start from.
    """
    arguments = ["-i", LISTING, "-m", FEATURES, "-M", VERIFIED, "-o", "sfm", "-s", options.engine]
    arguments += ["-f", options.refine_intrinsics]
    if options.engine.startswith("INCREMENTAL"):
        arguments += ["--triangulation_method", str(options.triangulation)]
        arguments += ["--resection_method", str(options.resection)]
    try:
        run_program(
            ProgramCall(program="openMVG_main_SfM", arguments=arguments, folder=folder), progress
        )
    except StageError as error:
        if "exit status" in error.message:  # not a crash: it says so where nothing fits
            raise DoNotFitError(f"OpenMVG registered no photos: {error.message}") from error
        raise
    if not (folder / "sfm" / "sfm_data.bin").exists():
        raise DoNotFitError("OpenMVG registered no photos")
    arguments = ["-i", "sfm/sfm_data.bin", "-o", "sfm/scene.json", "-V", "-I", "-E", "-S"]
    run_program(
        ProgramCall(
            program="openMVG_main_ConvertSfM_DataFormat", arguments=arguments, folder=folder
        ),
        lambda share: None,
    )
    return read_sfm_data(folder / "sfm" / "scene.json")


def pair_mode(mode: str, photos: int) -> str:
    """EXHAUSTIVE or CONTIGUOUS; AUTO decides by the number of photos."""
    if mode != "AUTO":
        return mode
    return "EXHAUSTIVE" if photos <= EXHAUSTIVE_MAX else "CONTIGUOUS"


def explained_share(scene: SfmData, matches: Matches) -> float:
    """Share of the verified matches between registered photos that the scene's points account for.

    A scene that is consistent in itself but wrong leaves most of them aside.
    """
    point_of: dict[tuple[int, int], int] = {
        (view, feature): key
        for key, point in scene.points.items()
        for view, (feature, _, _) in point.seen.items()
    }
    total = explained = 0
    for (first, second), pairs in matches.items():
        if first in scene.poses and second in scene.poses:
            total += len(pairs)
            explained += sum(
                point_of.get((first, int(a)), -1) == point_of.get((second, int(b)), -2)
                for a, b in pairs
            )
    return explained / total if total else 0.0


def link_folder(source: Path, target: Path) -> None:
    """The files of `source` in a new folder `target`, as hard links where the disk can."""
    target.mkdir()
    for path in source.iterdir():
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copyfile(path, target / path.name)


def _matches(path: Path) -> Matches:
    return read_matches(path) if path.exists() else {}
