"""Fitness says whether this machine can run a queued job at all, before the job is claimed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import InsaatError, MachineError, MemoryLimitError
from insaat_cli.formatting import size
from insaat_cli.machine.memory_budget import SMALLEST_BUDGET_BYTES
from insaat_cli.photos.photo_set import MIN_PHOTOS
from insaat_cli.pipeline.defaults import DEFAULT_PRESET
from insaat_cli.pipeline.definition import Pipeline
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.planning.forecast import Forecast
from insaat_cli.planning.history import History
from insaat_cli.remote.queue.job_spec import JobSpec, check_spec, read_spec
from insaat_cli.remote.store.manifest import FileEntry
from insaat_cli.remote.store.protocol import Store, UncertainError
from insaat_cli.remote.worker.admission import Choice, Grant
from insaat_cli.remote.worker.job_forecast import forecast_job
from insaat_cli.remote.worker.scratch import Scratch
from insaat_cli.runner.requirements import check_requirements

MEMORY_HINT = "give the worker more memory with --max-memory, or submit smaller photos (--resize)"


SMALL = tuple(FileEntry(path=f"{n}.jpg", size=1, sha256=f"{n:064x}") for n in range(MIN_PHOTOS))
SMALL_SIZES = ((640, 480),) * MIN_PHOTOS
UNMEASURED = History(Path("/nonexistent"))
"""Costs as the pipelines state them: that other jobs took more here is no reason to take none."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What an attempt would meet here."""

    problem: InsaatError | None = None
    """Why this machine cannot run the job. None where it can, or where the job itself is at fault:
    that is for the attempt to find, with its log."""
    disk_bytes: int = 0
    """What the attempt would write; 0 where nobody knows."""


class Fitness:
    """Version, pipeline, programs, memory and disk, compared with what a job asks for."""

    def __init__(
        self, store: Store, allowed: Mapping[str, str], history: History, scratch: Scratch
    ) -> None:
        self._store, self._allowed = store, allowed
        self._history, self._scratch = history, scratch

    def look(self, choice: Choice, *, held_bytes: int) -> Fit:
        """`held_bytes`: of the disk, for the jobs that run already. May raise StoreError."""
        try:
            spec = read_spec(self._store, choice.marker.job)
            if spec is None:
                return Fit()
            pipeline = check_spec(spec, self._allowed)
            check_requirements(pipeline)
            disk_bytes = self._needed_disk_bytes(spec, pipeline, choice.grant)
        except MachineError as error:
            return Fit(problem=error)
        except UncertainError:
            raise
        except InsaatError:
            return Fit()
        return Fit(problem=self._scratch.problem(disk_bytes + held_bytes), disk_bytes=disk_bytes)

    def _needed_disk_bytes(self, spec: JobSpec, pipeline: Pipeline, grant: Grant) -> int:
        """Raises MemoryLimitError for a job that does not fit the memory at its cheapest."""
        photos_bytes = sum(photo.size for photo in spec.photos)
        if grant.memory_bytes < SMALLEST_BUDGET_BYTES:
            raise _too_little("any stage", SMALLEST_BUDGET_BYTES, grant)
        if not spec.sizes:
            return photos_bytes
        stages = forecast_job(spec, pipeline, grant, self._history)
        short = [one for one in stages if not one.fits]
        if short:
            worst = max(short, key=lambda one: one.option.memory_bytes)
            raise _too_little(worst.stage.title, worst.option.memory_bytes, grant)
        return photos_bytes + _written_bytes(stages)


def too_small_for_any(allowed: Mapping[str, str], grant: Grant) -> MemoryLimitError | None:
    """Why no job of any pipeline fits `grant`, not even one of the fewest and smallest photos."""
    least: Forecast | None = None
    for name in allowed:
        with suppress(InsaatError):  # a pipeline file that is wrong fits nobody
            pipeline = find_pipeline(allowed[name])
            preset = next(iter(pipeline.presets), DEFAULT_PRESET)
            spec = JobSpec(job="", pipeline=name, preset=preset, photos=SMALL, sizes=SMALL_SIZES)
            stages = forecast_job(spec, check_spec(spec, allowed), grant, UNMEASURED)
            worst = max(stages, key=lambda one: one.option.memory_bytes)
            if all(one.fits for one in stages):
                return None
            if least is None or worst.option.memory_bytes < least.option.memory_bytes:
                least = worst
    if least is None:
        return None
    return _too_little(f"the smallest job ({least.stage.title})", least.option.memory_bytes, grant)


def _written_bytes(stages: list[Forecast]) -> int:
    """By all stages, by the results, which are copies, and by the archive of a checkpoint."""
    each = [one.disk_bytes for one in stages]
    return sum(each) + each[-1] + max(each)


def _too_little(what: str, needed_bytes: int, grant: Grant) -> MemoryLimitError:
    return MemoryLimitError(
        f"{what} needs about {size(needed_bytes)} of memory, but a job gets "
        f"{size(grant.memory_bytes)} on this worker",
        hint=MEMORY_HINT,
    )
