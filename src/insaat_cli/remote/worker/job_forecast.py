"""What a queued job will use, predicted from its spec alone: before it is claimed, or fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insaat_cli.errors import InsaatError, StoreError, UsageError
from insaat_cli.pipeline.definition import Pipeline
from insaat_cli.planning.forecast import Forecast, forecast_within_budget
from insaat_cli.planning.history import History
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.planning.scheduler import Budget, Option, Task
from insaat_cli.remote.queue.job_spec import JobSpec, check_spec, read_spec
from insaat_cli.remote.queue.keys import Marker
from insaat_cli.remote.queue.refusals import too_little_bytes
from insaat_cli.remote.store.protocol import Store, UncertainError
from insaat_cli.remote.worker.admission import Admission, EqualShares, Grant
from insaat_cli.workspace.workspace import Workspace

HEADROOM = 1.25
"""Predictions are of the ordinary case; a job that is granted no more would lose quality or time
whenever a stage goes a little above its own."""
MORE = 1.5
"""Times the memory of which a job ran out, for its next attempt."""
PROCESS_BYTES = 200_000_000
"""For the process that runs the stages of a job."""
NO_WORKSPACE = Path("/nonexistent")
"""Where a workspace would be; nothing is there, so no stage counts as done."""


@dataclass(frozen=True, kw_only=True)
class _PhotoFacts:
    name: str
    width: int
    height: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name}


def forecast_job(
    spec: JobSpec, pipeline: Pipeline, grant: Grant, history: History
) -> list[Forecast]:
    """Forecast the stages of a job within `grant`; `spec` holds the sizes of the photos."""
    plan = RunPlan(
        pipeline=pipeline,
        preset=spec.preset,
        photos=tuple(
            _PhotoFacts(name=photo.path, width=width, height=height, sha256=photo.sha256)
            for photo, (width, height) in zip(spec.photos, spec.sizes, strict=True)
        ),
        workspace=NO_WORKSPACE,
        memory_budget_bytes=grant.memory_bytes,
        threads=grant.threads,
    )
    _, stages = forecast_within_budget(plan, history, Workspace(NO_WORKSPACE), ())
    return stages


class PredictedNeeds:
    """For `--concurrency auto`. `history`: what stages used on this machine."""

    def __init__(
        self, store: Store, allowed: Mapping[str, str], budget: Budget, history: History
    ) -> None:
        self._store, self._allowed = store, allowed
        self._budget, self._history = budget, history

    def task(self, marker: Marker) -> Task[str]:
        """A job whose need is not known, or more than the budget, runs alone; one whose spec is
        unusable needs nothing, because it ends at once."""
        try:
            spec = read_spec(self._store, marker.job)
            if spec is None:
                return Task(key=marker.key, options=(self._least(),))
            pipeline = check_spec(spec, self._allowed)
        except UncertainError:
            raise
        except (UsageError, StoreError):
            return Task(key=marker.key, options=(self._least(),))
        tried_bytes = too_little_bytes(self._store, marker.job) if marker.epoch else 0
        options = tuple(self._options(spec, pipeline, tried_bytes)) if spec.sizes else ()
        if not options:
            whole = Option(
                rung=0, threads=self._budget.cores, memory_bytes=self._budget.memory_bytes
            )
            return Task(key=marker.key, options=(whole,), alone=True)
        return Task(key=marker.key, options=options)

    def _least(self) -> Option:
        return Option(rung=0, threads=1, memory_bytes=min(PROCESS_BYTES, self._budget.memory_bytes))

    def _options(self, spec: JobSpec, pipeline: Pipeline, tried_bytes: int) -> Iterator[Option]:
        """One for all cores, half of them and so on; none if even the cheapest way is too large.

        `tried_bytes` were too little before, whatever is predicted."""
        threads = self._budget.cores
        while threads:
            peak = self._peak_bytes(spec, pipeline, threads)
            if peak is not None:
                need = max(int(peak * HEADROOM) + PROCESS_BYTES, int(tried_bytes * MORE))
                memory_bytes = min(need, self._budget.memory_bytes)
                yield Option(rung=0, threads=threads, memory_bytes=memory_bytes)
            threads //= 2

    def _peak_bytes(self, spec: JobSpec, pipeline: Pipeline, threads: int) -> int | None:
        """Of the largest stage, at the best settings that this machine could give it alone."""
        grant = Grant(memory_bytes=self._budget.memory_bytes, threads=threads)
        try:
            stages = forecast_job(spec, pipeline, grant, self._history)
        except InsaatError:
            return None
        if not all(one.fits for one in stages):
            return None
        return max(one.option.memory_bytes for one in stages)


def open_admission(
    store: Store, allowed: Mapping[str, str], concurrency: int | None, whole: Grant
) -> Admission:
    """`concurrency` jobs with equal shares of `whole`; None: as many as fit by their forecasts."""
    if concurrency is not None:
        shares = EqualShares(concurrency, whole.memory_bytes, whole.threads)
        return Admission(shares.budget, shares)
    budget = Budget(memory_bytes=whole.memory_bytes, cores=whole.threads)
    return Admission(budget, PredictedNeeds(store, allowed, budget, History()))
