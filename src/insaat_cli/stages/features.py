"""Find SIFT features in every photo and write them to a COLMAP database."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.engine.sfm.feature_database import write_features
from insaat_cli.engine.sfm.sift import SiftOptions
from insaat_cli.engine.sfm.working_photos import WorkingPhoto, read_photos, some_of
from insaat_cli.engine.working_images import mask_path
from insaat_cli.errors import PhotosError, StageError
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

MIN_FEATURES = 50
"""Below this a photo cannot be registered: it is black, blank or out of focus."""
MIN_PHOTOS = 3


@dataclass(frozen=True, kw_only=True)
class FeaturesOptions:
    """At which size features are sought, how many, and how faint."""

    max_side: int = 2000
    """Longest side in pixels of the picture that features are found in."""
    max_features: int = 8192
    contrast: float = 0.02
    """SIFT's contrast threshold, on grey values from 0 to 1."""


def find_features(
    photos: Sequence[WorkingPhoto],
    folder: Path,
    database: Path,
    options: FeaturesOptions,
    *,
    threads: int,
    events: Events,
) -> Metrics:
    """Write cameras, images and features of `photos` to a new `database`.

    Raises PhotosError when fewer than three photos have features enough.
    """
    sift = SiftOptions(max_features=options.max_features, contrast=options.contrast)
    try:
        counts = write_features(
            photos,
            folder,
            database,
            sift,
            max_side=options.max_side,
            threads=threads,
            progress=events.progress,
        )
    except OSError as error:
        raise StageError(str(error), hint="rerun with --from resize") from error
    poor = [p.source for p, count in zip(photos, counts, strict=True) if count < MIN_FEATURES]
    if len(photos) - len(poor) < MIN_PHOTOS:
        raise _too_poor(photos, folder, poor)
    if poor:
        events.warning(f"too few features in {some_of(poor)}: black, blank or out of focus")
    return {
        "photos": len(photos),
        "features": sum(counts),
        "features_median": int(statistics.median(counts)),
        "features_min": min(counts),
        "without_features": poor,
    }


def _too_poor(photos: Sequence[WorkingPhoto], folder: Path, poor: Sequence[str]) -> PhotosError:
    """Masks are to blame where those are masked of which nothing is known."""
    masked = [p for p in photos if p.source in set(poor) and mask_path(folder / p.name).is_file()]
    if 2 * len(masked) > len(poor):
        return PhotosError(
            f"the masks leave hardly any features in {len(masked)} of {len(photos)} photos",
            hint="black pixels are ignored: check that the masks show the whole subject in white, "
            "and are not inverted",
        )
    return PhotosError(
        f"no usable features in {len(poor)} of {len(photos)} photos: they are black, blank or out "
        "of focus",
        hint="take sharp, well lit photos of a subject with visible texture",
    )


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    resized = request.inputs["resize"]
    return find_features(
        read_photos(resized),
        resized / "images",
        request.output / "database.db",
        parse_options(FeaturesOptions, request.params),
        threads=request.threads,
        events=events,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
