"""Match and verify pairs of photos with OpenMVG."""

from __future__ import annotations

import shutil
import statistics
import sys
from dataclasses import asdict

from insaat_cli.engine.sfm.working_photos import read_photos, some_of
from insaat_cli.external.openmvg import (
    FEATURES,
    PUTATIVE,
    VERIFIED,
    MatchOptions,
    link_folder,
    match_features,
    pair_mode,
    take_listing,
)
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    resized, output = request.inputs["resize"], request.output
    photos = read_photos(resized)
    options = parse_options(MatchOptions, request.params)
    listing = take_listing(request.inputs["listing"] / "sfm_data.json", resized / "images", output)
    link_folder(request.inputs["features"] / FEATURES, output / FEATURES)
    mode = pair_mode(options.pair_mode, len(photos))
    if mode != "EXHAUSTIVE" and options.pair_mode == "AUTO":
        events.warning(
            f"each of {len(photos)} photos was matched only with the next "
            f"{options.contiguous_count}; --set matching.pair_mode=EXHAUSTIVE matches all pairs"
        )
    putative, verified = match_features(output, len(photos), options, progress=events.progress)
    for name in (PUTATIVE, VERIFIED):
        path = output / FEATURES / name
        if path.exists():
            path.rename(output / name)
    shutil.rmtree(output / FEATURES)
    (output / "sfm_data.json").unlink()
    source_of = {photo.name: photo.source for photo in photos}
    matched = {view for pair, found in verified.items() if len(found) for view in pair}
    alone = [source_of[view.name] for key, view in listing.views.items() if key not in matched]
    if alone:
        events.warning(f"no other photo matches {some_of(sorted(alone))}")
    sizes = [len(found) for found in verified.values() if len(found)]
    before = sum(len(found) for found in putative.values())
    return {
        "photos": len(photos),
        "pairs_chosen_by": mode.lower(),
        "putative_pairs": len(putative),
        "verified_pairs": len(sizes),
        "inliers_median": int(statistics.median(sizes)) if sizes else 0,
        "verified_share": round(sum(sizes) / before, 4) if before else 0.0,
        "unmatched": sorted(alone),
        "settings": asdict(options),
    }


if __name__ == "__main__":
    sys.exit(run_stage(main))
