"""How much memory and time a stage will need, from what the photos are and how it ran before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from insaat_cli.pipeline.definition import Pipeline, Stage
from insaat_cli.pipeline.parameters import Params

MEGABYTE = 1_000_000
SIZE_PARAMETER = "max_side"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The photos as a stage sees them."""

    photos: int
    largest_megapixels: float
    mean_megapixels: float


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Measured / modelled on this machine; 1 where nothing is known."""

    memory: float = 1.0
    time: float = 1.0


def workload(sizes: Iterable[tuple[int, int]], max_side: int | None) -> Workload:
    """`sizes` are width and height in pixels; none larger than `max_side`, where given."""
    megapixels = []
    for width, height in sizes:
        scale = 1.0 if not max_side else min(1.0, max_side / max(width, height, 1))
        megapixels.append(width * height * scale * scale / 1e6)
    return Workload(
        photos=len(megapixels),
        largest_megapixels=max(megapixels, default=0.0),
        mean_megapixels=sum(megapixels) / len(megapixels) if megapixels else 0.0,
    )


def working_side(pipeline: Pipeline, stage: Stage, params: Mapping[str, Params]) -> int | None:
    """The longest side in pixels at which `stage` sees a photo; None: as it was taken.

    `params` are those in force, by stage. A stage without needs reads the photos themselves; the
    others read what such stages wrote, at the size of `size_from` or their own `max_side`.
    """
    if not stage.needs:
        return None
    sources = [source.name for source in pipeline.stages if not source.needs]
    limits = [stage.name, *([stage.size_from] if stage.size_from else []), *sources]
    sides = [params[name].get(SIZE_PARAMETER) for name in limits]
    known = [side for side in sides if isinstance(side, int) and side > 0]
    return min(known, default=None)


def predicted_bytes(stage: Stage, threads: int, load: Workload, correction: Correction) -> int:
    """Peak memory of `stage` and its children with full settings."""
    model = stage.memory
    megabytes = (
        model.base_mb
        + model.per_photo_mb * load.photos
        + model.per_megapixel_mb * load.largest_megapixels
        + model.per_photo_megapixel_mb * load.photos * load.mean_megapixels
        + model.per_thread_mb * threads
        + model.per_thread_megapixel_mb * threads * load.largest_megapixels
    )
    return int(megabytes * MEGABYTE * correction.memory)


def predicted_seconds(stage: Stage, load: Workload, correction: Correction) -> float:
    """Duration of `stage`; never 0, so that shares of the whole can be formed."""
    model = stage.time
    megapixels = load.photos * load.mean_megapixels
    seconds = (
        model.base_s + model.per_photo_s * load.photos + model.per_photo_megapixel_s * megapixels
    )
    return max(0.05, seconds * correction.time)


def predicted_disk_bytes(stage: Stage, load: Workload) -> int:
    """Size of what `stage` writes."""
    model = stage.disk
    megapixels = load.photos * load.mean_megapixels
    megabytes = (
        model.base_mb + model.per_photo_mb * load.photos + model.per_photo_megapixel_mb * megapixels
    )
    return int(megabytes * MEGABYTE)
