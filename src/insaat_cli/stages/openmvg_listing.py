"""List the photos for OpenMVG, every one with a focal length."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from insaat_cli.engine.sfm.feature_database import GUESSED_FOCAL_RATIO
from insaat_cli.engine.sfm.working_photos import WorkingPhoto, read_photos, some_of
from insaat_cli.errors import StageError, UsageError
from insaat_cli.external.openmvg import LISTING
from insaat_cli.external.openmvg_sfm_data import (
    DISTORTION_KEY,
    Intrinsic,
    SfmData,
    View,
    read_sfm_data,
    write_sfm_data,
)
from insaat_cli.external.program_progress import Phase
from insaat_cli.external.run_program import ProgramCall, run_program
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

KIND_OF_MODEL = dict(enumerate(DISTORTION_KEY, start=1))
COEFFICIENTS = {
    "pinhole": 0,
    "pinhole_radial_k1": 1,
    "pinhole_radial_k3": 3,
    "pinhole_brown_t2": 5,
    "fisheye": 4,
}


@dataclass(frozen=True, kw_only=True)
class ListingOptions:
    """What the cameras are taken to be."""

    camera_model: int = 3
    """OpenMVG's number: 1 pinhole, 2 and 3 radial, 4 Brown, 5 fisheye."""
    focal_px: float = 0.0
    """Focal length in pixels of the working photos, for all of them; 0: each photo's own."""
    focal_ratio: float = GUESSED_FOCAL_RATIO
    """Where nothing is known: focal length over the longest side."""
    group_cameras: bool = True
    """Photos of the same camera, lens and size share their intrinsics."""


def list_photos(
    photos: Sequence[WorkingPhoto],
    images: Path,
    output: Path,
    options: ListingOptions,
    *,
    events: Events,
) -> Metrics:
    """Write `sfm_data.json` for `photos`. Raises StageError where OpenMVG leaves photos out."""
    if options.camera_model not in KIND_OF_MODEL:
        raise UsageError(
            f"invalid camera_model {options.camera_model}", hint="choose from 1, 2, 3, 4, 5"
        )
    ratio = options.focal_px or options.focal_ratio * max(photos[0].width, photos[0].height)
    arguments = ["-i", str(images), "-o", str(output), "-f", f"{ratio:.6f}"]
    arguments += ["-c", str(options.camera_model), "-g", str(int(options.group_cameras))]
    run_program(
        ProgramCall(
            program="openMVG_main_SfMInit_ImageListing",
            arguments=arguments,
            folder=output,
            phases=[Phase(text="Listing images")],
        ),
        events.progress,
    )
    listed = read_sfm_data(output / LISTING)
    missing = sorted({p.name for p in photos} - {view.name for view in listed.views.values()})
    if missing:
        raise StageError(f"OpenMVG did not list {some_of(missing)}", hint="see the stage log")
    guessed = [] if options.focal_px else [p.source for p in photos if p.focal_px is None]
    if guessed:
        events.warning(
            f"focal length unknown for {len(guessed)} of {len(photos)} photos, taken as "
            f"{options.focal_ratio:g} times their longest side: {some_of(guessed)}; "
            "set it with --set listing.focal_px=PIXELS"
        )
    write_sfm_data(with_cameras(listed, photos, options), output / LISTING)
    return {
        "photos": len(photos),
        "cameras": len({_group(photo, index, options) for index, photo in enumerate(photos)}),
        "focal_guessed": guessed,
    }


def with_cameras(
    listed: SfmData, photos: Sequence[WorkingPhoto], options: ListingOptions
) -> SfmData:
    """`listed` with the intrinsics that the photos' own groups and focal lengths give."""
    kind = KIND_OF_MODEL[options.camera_model]
    photo_of = {photo.name: (index, photo) for index, photo in enumerate(photos)}
    views: dict[int, View] = {}
    cameras: dict[int, Intrinsic] = {}
    for key, view in sorted(listed.views.items()):
        index, photo = photo_of[view.name]
        group = _group(photo, index, options)
        views[key] = replace(view, intrinsic=group)
        side = max(photo.width, photo.height)
        cameras[group] = Intrinsic(
            kind=kind,
            width=photo.width,
            height=photo.height,
            focal_px=options.focal_px or photo.focal_px or options.focal_ratio * side,
            principal_point=(photo.width / 2, photo.height / 2),
            distortion=(0.0,) * COEFFICIENTS[kind],
        )
    return replace(listed, views=views, intrinsics=cameras)


def _group(photo: WorkingPhoto, index: int, options: ListingOptions) -> int:
    return photo.camera if options.group_cameras else index


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    resized = request.inputs["resize"]
    return list_photos(
        read_photos(resized),
        resized / "images",
        request.output,
        parse_options(ListingOptions, request.params),
        events=events,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
