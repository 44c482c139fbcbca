"""The ladder of attempts at registering a photo set, cheapest first."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.engine.sfm.feature_database import Progress, set_focal_ratio, write_features
from insaat_cli.engine.sfm.mapping_backend import MappingBackend
from insaat_cli.engine.sfm.pair_matching import (
    PairOptions,
    choose_pairs,
    inliers_of_pairs,
    match_pairs,
    pairs_of,
)
from insaat_cli.engine.sfm.registration_quality import (
    MAX_STILL_SHARE,
    Attempt,
    emptied,
    still_share,
)
from insaat_cli.engine.sfm.sift import SiftOptions
from insaat_cli.engine.sfm.working_photos import WorkingPhoto

ENOUGH_SHARE = 0.9
"""Registered share at which features are not sought again; only what is missing is matched anew."""
MISSING_MAX_PHOTOS = 200
"""In larger sets a few photos less are no matter, and placing all once more takes long."""
PARTNERS_OF_MISSING = 24
"""Photos that a photo which could not be registered is matched with, the most similar first."""
OTHER_FOCAL_RATIOS = (0.75, 2.4)
"""Wide angle and tele, where the usual guess did not work and EXIF says nothing."""
MORE_FEATURES = SiftOptions(max_features=12_000, contrast=0.008, edge=15.0)
MORE_PAIRS = PairOptions(neighbours=20, sure_neighbours=12, min_score=4, exhaustive_max=60)
GLOBAL_MIN_PHOTOS = 5
FEATURE_THREADS = 1
"""Each takes 150 MB, and finding features is a small part of an escalation."""


@dataclass(frozen=True, kw_only=True)
class RegistrationJob:
    """What every attempt works on. `scratch` is an empty folder that the caller removes."""

    photos: Sequence[WorkingPhoto]
    images: Path
    database: Path
    scratch: Path
    backend: MappingBackend
    max_side: int
    threads: int
    progress: Progress
    on_escalation: Callable[[str], None]


def register_photos(job: RegistrationJob, *, escalate: bool) -> tuple[Attempt, list[Attempt]]:
    """The best mapping by photos registered, and all attempts made, in order."""
    attempts: list[Attempt] = []
    best: Attempt | None = None
    for attempt in _attempts(job):
        attempts.append(attempt)
        if best is None or attempt.rank() > best.rank():
            best = attempt
        if not escalate or best.registered >= ENOUGH_SHARE * len(job.photos):
            break
        if best.registered == 0 and still_share(job.database) > MAX_STILL_SHARE:
            break  # copies of one photo, or one place: nothing helps
        whole = best.registered_in_any() >= ENOUGH_SHARE * len(job.photos)
        if whole and (len(attempts) > 1 or not _linked(best, job.database)):
            break  # several subjects, each whole
        if len(attempts) == 1:
            job.on_escalation(
                f"only {best.registered} of {len(job.photos)} photos registered; "
                "retrying with more features and pairs"
            )
    assert best is not None
    nearly_all = ENOUGH_SHARE * len(job.photos) <= best.registered < len(job.photos)
    if escalate and len(attempts) == 1 and nearly_all and len(job.photos) <= MISSING_MAX_PHOTOS:
        again = _with_the_missing(job, best)
        if again is not None:
            attempts.append(again)
            best = max(best, again, key=Attempt.rank)
    return best, attempts


def _with_the_missing(job: RegistrationJob, best: Attempt) -> Attempt | None:
    """Match the few photos that are missing with more others, along epipolar lines as well; None
    where they still match none of those that are registered."""
    database = job.scratch / "missing.db"
    shutil.copyfile(job.database, database)
    registered = {image_id - 1 for image_id in best.models[0].images}
    missing = [k for k in range(len(job.photos)) if k not in registered]
    pairs = pairs_of(database, missing, len(job.photos), PARTNERS_OF_MISSING)
    match_pairs(
        database,
        job.photos,
        pairs,
        job.backend,
        guided=True,
        threads=job.threads,
        progress=lambda share: None,
    )
    if not _linked(best, database):
        return None
    return _map(job, database, "more pairs for missing photos", forgiving=True)


def _linked(attempt: Attempt, database: Path) -> bool:
    """Whether a verified pair joins photos of the largest model with photos outside of it."""
    largest = {image_id - 1 for image_id in attempt.models[0].images}
    return any((i in largest) != (j in largest) for i, j in inliers_of_pairs(database))


def _attempts(job: RegistrationJob) -> Iterator[Attempt]:
    yield _map(job, job.database, "incremental", forgiving=False)
    database = job.scratch / "more.db"
    write_features(
        job.photos,
        job.images,
        database,
        MORE_FEATURES,
        max_side=job.max_side,
        threads=FEATURE_THREADS,
        progress=lambda share: None,
    )
    give_back_memory()
    pairs = choose_pairs(database, job.photos, MORE_PAIRS, lambda share: None)
    match_pairs(
        database,
        job.photos,
        pairs,
        job.backend,
        guided=True,
        threads=job.threads,
        progress=lambda share: None,
    )
    yield _map(job, database, "more features, guided matching", forgiving=True)
    if any(photo.focal_px is None for photo in job.photos):
        for ratio in OTHER_FOCAL_RATIOS:
            set_focal_ratio(database, job.photos, ratio)
            yield _map(job, database, f"focal length {ratio:g} of the longest side", forgiving=True)
    if len(job.photos) >= GLOBAL_MIN_PHOTOS:
        copy = job.scratch / "global.db"
        shutil.copyfile(database, copy)
        scratch = emptied(job.scratch / "models")
        models = job.backend.map_globally(copy, job.images, scratch, threads=job.threads)
        if models is not None:
            yield Attempt(name="global", models=models)


def give_back_memory() -> None:
    """Return to the system what was freed; glibc keeps it for pictures that will not come."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _map(job: RegistrationJob, database: Path, name: str, *, forgiving: bool) -> Attempt:
    registered = 2

    def count_image() -> None:
        nonlocal registered
        registered += 1
        job.progress(min(registered / len(job.photos), 1.0))

    models = job.backend.map_incrementally(
        database,
        job.images,
        emptied(job.scratch / "models"),
        threads=job.threads,
        forgiving=forgiving,
        on_image=count_image,
    )
    return Attempt(name=name, models=models)
