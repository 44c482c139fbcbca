"""Register the photos with OpenMVG, and do not believe it blindly; upright, as `sparse` does."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.engine.colmap.model import Model
from insaat_cli.engine.colmap.model_files import read_model, write_model
from insaat_cli.engine.sfm.registration_quality import PARALLAX_MIN_DEG, parallax_deg
from insaat_cli.engine.sfm.working_photos import WorkingPhoto, read_photos, some_of
from insaat_cli.errors import DoNotFitError, StageError
from insaat_cli.external.openmvg import (
    FEATURES,
    HIGHER_PRESET,
    VERIFIED,
    FeatureOptions,
    MatchOptions,
    SolveOptions,
    compute_features,
    explained_share,
    link_folder,
    match_features,
    solve,
    take_listing,
)
from insaat_cli.external.openmvg_matches import Matches, read_matches
from insaat_cli.external.openmvg_sfm_data import write_sfm_data
from insaat_cli.external.openmvg_to_colmap import model_of, scene_of
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)
from insaat_cli.stages.features import FeaturesOptions, find_features
from insaat_cli.stages.matching import MatchingOptions, match_photos
from insaat_cli.stages.sparse import (
    NO_PARALLAX,
    NO_PARALLAX_HINT,
    OVERLAP_HINT,
    SparseOptions,
    describe_cameras,
    register,
    registration_figures,
    set_upright,
)

OWN_ENGINE = "OWN"
SAME, HIGHER = "SAME", "HIGHER"


@dataclass(frozen=True, kw_only=True)
class OpenmvgSparseOptions:
    """How OpenMVG registers photos, and what its result must satisfy."""

    engine: str = "INCREMENTAL"
    """INCREMENTAL, INCREMENTALV2, GLOBAL, STELLAR, or OWN: the embedded pipeline's."""
    refine_intrinsics: str = "ADJUST_ALL"
    triangulation: int = 3
    resection: int = 4
    feature_preset: str = SAME
    """SAME takes the features as they are; HIGHER finds and matches more of them first."""
    min_share: float = 0.9
    """Share of the photos that must be registered."""
    max_error_px: float = 2.0
    """Mean reprojection error that is believed."""
    min_explained: float = 0.2
    """Share of the verified matches that the points must account for."""
    max_side: int = 2000
    """Longest side in pixels at which OWN looks for features."""


def place_with_openmvg(
    request: StageRequest, options: OpenmvgSparseOptions, events: Events
) -> Metrics:
    """Write `model/`, `cameras.json` and `sfm_data.json`, upright.

    Raises DoNotFitError where too few photos are registered, StageError where the result is not
    believed.
    """
    resized, output = request.inputs["resize"], request.output
    photos = read_photos(resized)
    work = output / "scratch"
    work.mkdir()
    listing = take_listing(request.inputs["listing"] / "sfm_data.json", resized / "images", work)
    verified = _matches(request, work, options, len(photos), events)
    solving = SolveOptions(
        engine=options.engine,
        refine_intrinsics=options.refine_intrinsics,
        triangulation=options.triangulation,
        resection=options.resection,
    )
    scene = solve(work, solving, progress=lambda share: None)
    events.progress(0.9)
    explained = explained_share(scene, verified)
    shutil.rmtree(work)
    check_share(len(scene.poses), len(photos), options.min_share)
    model = model_of(scene)
    check_belief(model, explained, options)
    model, metrics = publish(model, photos, resized / "images", output, events)
    write_sfm_data(scene_of(model, listing), output / "sfm_data.json")
    return metrics | {
        "engine": f"OpenMVG {options.engine.lower()}",
        "matches_explained": round(explained, 4),
    }


def place_ourselves(
    request: StageRequest, options: OpenmvgSparseOptions, events: Events
) -> Metrics:
    """The same outputs from the embedded pipeline's structure from motion."""
    resized, output = request.inputs["resize"], request.output
    photos, images = read_photos(resized), resized / "images"
    work = output / "own"
    work.mkdir()
    database = work / "database.db"
    quiet = _Part(events, 0.0, 0.5)
    find_features(
        photos,
        images,
        database,
        FeaturesOptions(max_side=options.max_side),
        threads=request.threads,
        events=quiet,
    )
    match_photos(
        photos, database, MatchingOptions(), threads=request.threads, events=_Part(events, 0.5, 0.8)
    )
    metrics = register(
        photos,
        images,
        database,
        output,
        SparseOptions(max_side=options.max_side),
        threads=request.threads,
        events=_Part(events, 0.8, 1.0),
    )
    listing = take_listing(request.inputs["listing"] / "sfm_data.json", images, work)
    shutil.rmtree(work)
    model = read_model(output / "model")
    write_sfm_data(scene_of(model, listing), output / "sfm_data.json")
    return metrics | {"engine": "our own"}


def publish(
    model: Model,
    photos: Sequence[WorkingPhoto],
    images: Path,
    output: Path,
    events: Events,
) -> tuple[Model, Metrics]:
    """Move `model` into the world frame and write it with cameras.json."""
    source_of = {photo.name: photo.source for photo in photos}
    parallax = parallax_deg(model)
    if parallax < PARALLAX_MIN_DEG:
        raise DoNotFitError(NO_PARALLAX, hint=NO_PARALLAX_HINT)
    model, frame = set_upright(model, photos, images)
    (output / "model").mkdir()
    write_model(model.with_colors(images), output / "model")
    cameras = {"images": describe_cameras(model, source_of), "frame": "opencv"}
    text = json.dumps(cameras, indent=1, ensure_ascii=False)
    (output / "cameras.json").write_text(text, encoding="utf-8")
    registered = {image.name for image in model.images.values()}
    missing = [photo.source for photo in photos if photo.name not in registered]
    if missing:
        events.warning(
            f"{len(missing)} of {len(photos)} photos could not be registered: {some_of(missing)}"
        )
    return model, {
        **registration_figures(model, source_of),
        "photos": len(photos),
        "registered_share": round(len(registered) / len(photos), 4),
        "parallax_deg": round(parallax, 2),
        "unregistered": missing,
        "up_from": frame.up_from,
        "unit": "metres" if frame.metric else "arbitrary: the subject is 2 units large",
    }


def check_share(registered: int, photos: int, min_share: float) -> None:
    """Raise DoNotFitError where fewer photos were registered than asked for."""
    if registered < 3 or registered < min_share * photos:
        raise DoNotFitError(
            f"OpenMVG registered only {registered} of {photos} photos", hint=OVERLAP_HINT
        )


def check_belief(model: Model, explained: float, options: OpenmvgSparseOptions) -> None:
    """Raise StageError for a scene that contradicts its own matches."""
    error = model.mean_error_px()
    if not error <= options.max_error_px:
        raise StageError(
            f"OpenMVG's mean reprojection error is {error:.2f} px, "
            f"the limit is {options.max_error_px:g}",
            hint="--set sparse.engine=OWN registers the photos without OpenMVG",
        )
    if explained < options.min_explained:
        raise StageError(
            f"OpenMVG's points explain {explained:.0%} of the verified matches, at least "
            f"{options.min_explained:.0%} is required",
            hint="--set sparse.engine=OWN registers the photos without OpenMVG",
        )


def _matches(
    request: StageRequest,
    work: Path,
    options: OpenmvgSparseOptions,
    photos: int,
    events: Events,
) -> Matches:
    """Put features and verified matches into `work`; the matches."""
    features, matching = request.inputs["features"], request.inputs["matching"]
    if options.feature_preset == HIGHER:
        said = _result(features)
        preset = HIGHER_PRESET.get(str(said["preset"]), "HIGH")
        wanted = FeatureOptions(
            method=str(said["method"]), preset=preset, upright=bool(said["upright"])
        )
        part = _Part(events, 0.0, 0.5)
        compute_features(work, wanted, threads=request.threads, progress=part.progress)
        part = _Part(events, 0.5, 0.8)
        again = parse_options(MatchOptions, _result(matching)["settings"])
        return match_features(work, photos, again, progress=part.progress)[1]
    link_folder(features / FEATURES, work / FEATURES)
    shutil.copyfile(matching / VERIFIED, work / FEATURES / VERIFIED)
    return read_matches(work / FEATURES / VERIFIED)


def _result(folder: Path) -> Metrics:
    found: Metrics = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return found


class _Part(Events):
    """Progress of a part of this stage; warnings go through."""

    def __init__(self, events: Events, start: float, end: float) -> None:
        super().__init__(None)
        self._events, self._start, self._end = events, start, end

    def progress(self, share: float) -> None:
        self._events.progress(self._start + (self._end - self._start) * share)

    def warning(self, text: str) -> None:
        self._events.warning(text)


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    options = parse_options(OpenmvgSparseOptions, request.params)
    if options.engine == OWN_ENGINE:
        return place_ourselves(request, options, events)
    return place_with_openmvg(request, options, events)


if __name__ == "__main__":
    sys.exit(run_stage(main))
