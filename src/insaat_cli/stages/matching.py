"""Match the features of pairs of photos that look at the same thing."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.engine.sfm.pair_matching import (
    CHOOSING_SHARE,
    PairOptions,
    choose_pairs,
    inliers_of_pairs,
    match_pairs,
)
from insaat_cli.engine.sfm.pair_selection import EXHAUSTIVE_MAX
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

LOOK_ALIKES = (
    "several things in these photos look the same (chairs, doors, pictures), and matches "
    "contradict each other: check that the model is not folded; photos that show two of them at "
    "once help, and so does moving or covering one"
)


@dataclass(frozen=True, kw_only=True)
class MatchingOptions:
    """How many partners each photo is matched with."""

    neighbours: int = 10
    """Partners of each photo, the most similar first; cost grows with photos times this."""
    guided: bool = False
    """Match a second time along epipolar lines: more matches, twice the time."""
    backend: str = AUTO
    """PYCOLMAP, PROGRAM (the colmap program) or AUTO: the first of them that is there."""


def match_photos(
    photos: Sequence[WorkingPhoto],
    database: Path,
    options: MatchingOptions,
    *,
    threads: int,
    events: Events,
) -> Metrics:
    """Choose pairs, match and verify them in `database`.

    Raises DoNotFitError when no pair of photos shows the same thing.
    """
    pairs = choose_pairs(
        database,
        photos,
        PairOptions(neighbours=options.neighbours),
        lambda share: events.progress(CHOOSING_SHARE * share),
    )
    alike = match_pairs(
        database,
        photos,
        pairs,
        choose_backend(options.backend),
        guided=options.guided,
        threads=threads,
        progress=lambda share: events.progress(CHOOSING_SHARE + (1 - CHOOSING_SHARE) * share),
    )
    inliers = inliers_of_pairs(database)
    if not inliers:
        raise DoNotFitError(
            "no two photos match",
            hint="take photos of one subject, each overlapping the next by two thirds",
        )
    matched = {photo for pair in inliers for photo in pair}
    alone = [photo.source for index, photo in enumerate(photos) if index not in matched]
    if alike.doubtful:
        events.warning(LOOK_ALIKES)
    if alone:
        events.warning(f"no other photo matches {some_of(alone)}")
    return {
        "photos": len(photos),
        "pairs": len(pairs),
        "pairs_possible": len(photos) * (len(photos) - 1) // 2,
        "pairs_chosen_by": "preview of all pairs"
        if len(photos) <= EXHAUSTIVE_MAX
        else "order, GPS and global descriptors",
        "verified_pairs": len(inliers),
        "look_alike_pairs": [[photos[k - 1].source for k in pair] for pair in alike.refused],
        "inliers_median": int(statistics.median(inliers.values())),
        "unmatched": alone,
    }


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    database = request.output / "database.db"
    shutil.copyfile(request.inputs["features"] / "database.db", database)
    return match_photos(
        read_photos(request.inputs["resize"]),
        database,
        parse_options(MatchingOptions, request.params),
        threads=request.threads,
        events=events,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
