"""Register the photos: structure from motion, checked, in an upright frame."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from insaat_cli.engine.colmap.model import Model
from insaat_cli.engine.colmap.model_files import write_model
from insaat_cli.engine.scene.vertical_lines import find_plumb_lines
from insaat_cli.engine.scene.world_frame import (
    SparseScene,
    WorldFrame,
    enu_from_gps,
    find_frame,
    up_from_cameras,
)
from insaat_cli.engine.sfm.bundle_adjustment import look_along_one_direction, refined
from insaat_cli.engine.sfm.feature_database import camera_of
from insaat_cli.engine.sfm.mapping_backend import MIN_MODEL_PHOTOS
from insaat_cli.engine.sfm.register_photos import RegistrationJob, register_photos
from insaat_cli.engine.sfm.registration_quality import (
    MAX_STILL_SHARE,
    PARALLAX_MIN_DEG,
    Attempt,
    emptied,
    parallax_deg,
    still_share,
)
from insaat_cli.engine.sfm.turning_on_the_spot import turned_photos
from insaat_cli.engine.sfm.working_photos import WorkingPhoto, read_photos, some_of
from insaat_cli.errors import DoNotFitError
from insaat_cli.external.choose_colmap import AUTO, choose_backend
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

MAPPING_SHARE = 0.9
"""Share of the work that mapping takes, for the progress."""
NO_PARALLAX = (
    "the photos show no parallax: they were taken from one place, or are copies of each other"
)
NO_PARALLAX_HINT = "walk around the subject, a step or more between photos"
DEPTH_IS_OPEN = (
    "all photos look in one direction and have no EXIF focal length: the model may be too deep or "
    "too flat; add photos from the side, or keep the EXIF data"
)
TURNED = "taken by turning on the spot, which shows no depth"
TURNED_HINT = "step sideways between photos, by a tenth of the distance to what they show or more"
OVERLAP_HINT = "take more photos, each overlapping the next by two thirds"


@dataclass(frozen=True, kw_only=True)
class SparseOptions:
    """How hard registration tries."""

    escalate: bool = True
    """Try other settings where fewer than 90 % of the photos register."""
    max_side: int = 2000
    """Longest side in pixels at which those further attempts look for features."""
    backend: str = AUTO
    """PYCOLMAP, PROGRAM (the colmap program) or AUTO: the first of them that is there."""


def register(
    photos: Sequence[WorkingPhoto],
    images: Path,
    database: Path,
    output: Path,
    options: SparseOptions,
    *,
    threads: int,
    events: Events,
) -> Metrics:
    """Write `model/` and `cameras.json`, upright.

    Raises DoNotFitError when too few photos could be registered together, or show no parallax.
    """
    scratch = output / "scratch"
    backend = choose_backend(options.backend)
    job = RegistrationJob(
        photos=photos,
        images=images,
        database=database,
        scratch=scratch,
        backend=backend,
        max_side=options.max_side,
        threads=threads,
        progress=lambda share: events.progress(MAPPING_SHARE * share),
        on_escalation=events.warning,
    )
    scratch.mkdir()
    best, attempts = register_photos(job, escalate=options.escalate)
    source_of = {photo.name: photo.source for photo in photos}
    groups = [_names(model, source_of) for model in best.models]
    turned = _turned(best, photos, database)
    _check(best, groups, photos, database, turned)
    if len(groups) > 1:
        events.warning(_describe_groups(groups))
    exif_focal_px = {
        camera_of(photo).camera_id: photo.focal_px for photo in photos if photo.focal_px is not None
    }
    model = _adjusted(best.models[0], job, exif_focal_px)
    shutil.rmtree(scratch)
    parallax = parallax_deg(model)
    if parallax < PARALLAX_MIN_DEG:
        raise _without_parallax(photos, turned)
    if look_along_one_direction(model) and not set(model.cameras) <= set(exif_focal_px):
        events.warning(DEPTH_IS_OPEN)
    if turned:
        events.warning(f"{len(turned)} photos were {TURNED}: {some_of(turned)}; {TURNED_HINT}")
    model, frame = set_upright(model, photos, images)
    _write(model, images, output, source_of)
    missing = [photo.source for photo in photos if photo.source not in set(groups[0])]
    if missing:
        events.warning(
            f"{len(missing)} of {len(photos)} photos could not be registered: {some_of(missing)}"
        )
    return {
        **registration_figures(model, source_of),
        "photos": len(photos),
        "registered_share": round(len(groups[0]) / len(photos), 4),
        "parallax_deg": round(parallax, 2),
        "unregistered": missing,
        "turned_on_the_spot": turned,
        "models": [{"photos": group} for group in groups],
        "sfm": backend.name,
        "attempts": [{"name": a.name, "registered": a.registered} for a in attempts],
        "attempt": best.name,
        "up_from": frame.up_from,
        "unit": "metres" if frame.metric else "arbitrary: the subject is 2 units large",
    }


def _adjusted(model: Model, job: RegistrationJob, exif_focal_px: Mapping[int, float]) -> Model:
    scratch = job.scratch / "adjusted"
    return refined(
        model,
        lambda model, free: job.backend.adjust(model, emptied(scratch), free, threads=job.threads),
        exif_focal_px,
    )


def _write(model: Model, images: Path, output: Path, source_of: dict[str, str]) -> None:
    folder = output / "model"
    folder.mkdir()
    write_model(model.with_colors(images), folder)
    cameras = {"images": describe_cameras(model, source_of), "frame": "opencv"}
    text = json.dumps(cameras, indent=1, ensure_ascii=False)
    (output / "cameras.json").write_text(text, encoding="utf-8")


def set_upright(
    model: Model, photos: Sequence[WorkingPhoto], images: Path
) -> tuple[Model, WorldFrame]:
    """`model`, of the photos in the folder `images`, in the world frame: Y up, subject over the
    origin, ground at y = 0."""
    gps_of = {photo.name: photo.gps for photo in photos}
    registered = list(model.images.values())
    points = model.points.positions[model.points.lengths >= 3]
    if len(points) < 10:
        points = model.points.positions
    scene = SparseScene(
        cam_from_world=np.array([image.cam_from_world[:, :3] for image in registered]),
        centers=np.array([image.center for image in registered]),
        points=points,
    )
    plumb = find_plumb_lines(model, images, up_from_cameras(scene.cam_from_world))
    frame = find_frame(
        scene,
        enu_from_gps([gps_of[image.name] for image in registered]),
        None if plumb is None else plumb.up,
    )
    world = frame.world_from_model
    return model.moved(world.scale, world.rotation, world.translation), frame


def describe_cameras(model: Model, source_of: dict[str, str]) -> list[dict[str, Any]]:
    """The `images` of cameras.json, under the names that the user knows."""
    entries = []
    for image in model.images.values():
        camera = model.cameras[image.camera_id]
        entries.append(
            {
                "name": source_of[image.name],
                "width": camera.width,
                "height": camera.height,
                "K": camera.calibration_matrix().tolist(),
                "distortion": {"model": camera.model, "params": camera.distortion},
                "cam_from_world": image.cam_from_world.tolist(),
                "center": image.center.tolist(),
            }
        )
    return entries


def _names(model: Model, source_of: dict[str, str]) -> list[str]:
    return [source_of[image.name] for image in model.images.values()]


def _turned(best: Attempt, photos: Sequence[WorkingPhoto], database: Path) -> list[str]:
    """The names of the photos that were taken by turning on the spot."""
    found = best.models[0].cameras if best.models else {}
    cameras = {}
    for image_id, photo in enumerate(photos, start=1):
        guess = camera_of(photo)
        cameras[image_id] = found.get(guess.camera_id, guess)
    return [photos[image_id - 1].source for image_id in turned_photos(database, cameras)]


def _without_parallax(photos: Sequence[WorkingPhoto], turned: Sequence[str]) -> DoNotFitError:
    if 2 * len(turned) > len(photos):
        return DoNotFitError(f"{len(turned)} of {len(photos)} photos were {TURNED}",
                             hint=TURNED_HINT)  # fmt: skip
    return DoNotFitError(NO_PARALLAX, hint=NO_PARALLAX_HINT)


def _check(
    best: Attempt,
    groups: list[list[str]],
    photos: Sequence[WorkingPhoto],
    database: Path,
    turned: Sequence[str],
) -> None:
    if best.registered < MIN_MODEL_PHOTOS:
        if still_share(database) > MAX_STILL_SHARE or 2 * len(turned) > len(photos):
            raise _without_parallax(photos, turned)
        raise DoNotFitError(
            f"only {best.registered} of {len(photos)} photos could be registered together",
            hint=OVERLAP_HINT,
        )
    if 2 * best.registered < len(photos):
        detail = f": {_describe_groups(groups)}" if len(groups) > 1 else ""
        raise DoNotFitError(
            f"only {best.registered} of {len(photos)} photos could be registered together{detail}",
            hint=OVERLAP_HINT + ", and reconstruct each subject separately",
        )


def _describe_groups(groups: list[list[str]]) -> str:
    parts = [f"({len(group)}) {some_of(group)}" for group in groups[:5]]
    return f"the photos form {len(groups)} groups that do not overlap: " + "; ".join(parts)


def registration_figures(model: Model, source_of: dict[str, str]) -> Metrics:
    """Counts and reprojection errors of `model`, for the report."""
    points, seen_off = model.points, model.errors_px()
    errors: dict[str, float] = {}
    for key, image in model.images.items():
        off = seen_off[points.track_images == key]
        off = off[np.isfinite(off)]
        errors[source_of[image.name]] = round(float(off.mean()), 4) if len(off) else 0.0
    observations = len(points.track_images)
    return {
        "registered": len(model.images),
        "points": len(points),
        "observations": observations,
        "mean_track_length": round(observations / max(len(points), 1), 3),
        "reprojection_error_px": round(model.mean_error_px(), 4),
        "reprojection_error_px_of": errors,
    }


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    resized = request.inputs["resize"]
    return register(
        read_photos(resized),
        resized / "images",
        request.inputs["matching"] / "database.db",
        request.output,
        parse_options(SparseOptions, request.params),
        threads=request.threads,
        events=events,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
