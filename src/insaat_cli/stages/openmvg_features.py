"""Find features with OpenMVG."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from insaat_cli.engine.sfm.working_photos import read_photos, some_of
from insaat_cli.errors import StageError
from insaat_cli.external.openmvg import FeatureOptions, compute_features, take_listing
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

MIN_FEATURES = 50
"""Below this a photo cannot be registered: it is black, blank or out of focus."""


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    resized = request.inputs["resize"]
    options = parse_options(FeatureOptions, request.params)
    images = resized / "images"
    take_listing(request.inputs["listing"] / "sfm_data.json", images, request.output)
    counts = compute_features(
        request.output, options, threads=request.threads, progress=events.progress
    )
    (request.output / "sfm_data.json").unlink()
    photos = read_photos(resized)
    if not counts:
        raise StageError("OpenMVG wrote no features", hint="see the stage log")
    found = {photo.source: counts.get(Path(photo.name).stem, 0) for photo in photos}
    poor = [source for source, count in found.items() if count < MIN_FEATURES]
    if poor:
        events.warning(f"too few features in {some_of(poor)}: black, blank or out of focus")
    return {
        "photos": len(photos),
        "photos_with_features": len(photos) - len(poor),
        "features": sum(found.values()),
        "features_median": int(statistics.median(found.values())),
        "features_min": min(found.values()),
        "without_features": poor,
        "method": options.method,
        "preset": options.preset,
        "upright": options.upright,
    }


if __name__ == "__main__":
    sys.exit(run_stage(main))
