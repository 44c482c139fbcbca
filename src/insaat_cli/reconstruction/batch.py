"""Many photo sets under one budget: each becomes a model of its own, or an error of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from insaat_cli.errors import ExitCode, InsaatError, StoppedError, UsageError
from insaat_cli.formatting import printable
from insaat_cli.planning.scheduler import Budget
from insaat_cli.reconstruction.options import ReconstructionOptions, output_of
from insaat_cli.reconstruction.reconstruct import (
    Prepared,
    Reconstruction,
    after_failure,
    after_success,
    budget_for,
    chosen_pipeline,
    prepare,
)
from insaat_cli.runner.events import Listener, MemorySample, RunEvent
from insaat_cli.runner.loop import Job, Outcome, run_pipelines
from insaat_cli.runner.run_result import RunResult

SetListener = Callable[[str, RunEvent], None]
"""Hears events with the name of their photo set; "" is all of them together."""


@dataclass(frozen=True, kw_only=True)
class SetOutcome:
    """How one photo set ended: with a model, or with an error.

    Under --strict with both, where the model is not all that was asked for.
    """

    name: str
    done: Reconstruction | None = None
    error: InsaatError | None = None

    @property
    def code(self) -> ExitCode:
        return self.error.code if self.error else ExitCode.DONE


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """All sets, in the order in which they were named."""

    sets: tuple[SetOutcome, ...]
    seconds: float
    peak_bytes: int
    """Of all sets together."""

    @property
    def code(self) -> ExitCode:
        """That of the worst: the highest."""
        return max((outcome.code for outcome in self.sets), default=ExitCode.DONE)


def reconstruct_all(
    sets: Mapping[str, ReconstructionOptions],
    listener: SetListener,
    ended: Callable[[SetOutcome], None],
) -> BatchResult:
    """Reconstruct every photo set; `ended` hears of each as soon as it is over.

    A fault of one set is its outcome and stops no other. Raises UsageError before any work where
    two sets would write to the same folder, and where one asks for a pipeline, preset or setting
    that there is not.
    """
    _check_outputs(sets)
    _check_pipelines(sets)
    started = time.monotonic()
    batch = _Batch(sets, listener, ended)
    batch.run()
    return BatchResult(
        sets=tuple(batch.outcomes[name] for name in sets),
        seconds=time.monotonic() - started,
        peak_bytes=batch.peak_bytes,
    )


class _Batch:
    def __init__(
        self,
        sets: Mapping[str, ReconstructionOptions],
        listener: SetListener,
        ended: Callable[[SetOutcome], None],
    ) -> None:
        self.sets, self.listener, self.ended = sets, listener, ended
        self.outcomes: dict[str, SetOutcome] = {}
        self.peak_bytes = 0
        self._budgets: dict[tuple[str | None, int | None], Budget] = {}

    def run(self) -> None:
        jobs = []
        for name, options in self.sets.items():
            try:
                prepared = prepare(options, self._listener(name), self.budget(options))
            except StoppedError:
                raise
            except InsaatError as error:
                self._over(SetOutcome(name=name, error=error))
            else:
                jobs.append(self._job(name, prepared))
        run_pipelines(jobs, totals=self._totals)

    def budget(self, options: ReconstructionOptions) -> Budget:
        """The sets of a command share one."""
        asked = (options.max_memory, options.threads)
        if asked not in self._budgets:
            self._budgets[asked] = budget_for(options)
        return self._budgets[asked]

    def _job(self, name: str, prepared: Prepared) -> Job:
        def ended(outcome: Outcome) -> None:
            self._over(_outcome(name, prepared, outcome, self._listener(name)))

        return Job(plan=prepared.plan, listener=self._listener(name), ended=ended)

    def _listener(self, name: str) -> Listener:
        return lambda event: self.listener(name, event)

    def _totals(self, event: RunEvent) -> None:
        if isinstance(event, MemorySample):
            self.peak_bytes = event.peak_bytes
        self.listener("", event)

    def _over(self, outcome: SetOutcome) -> None:
        self.outcomes[outcome.name] = outcome
        self.ended(outcome)


def _outcome(name: str, prepared: Prepared, outcome: Outcome, listener: Listener) -> SetOutcome:
    if isinstance(outcome, RunResult):
        try:
            done = after_success(prepared, outcome, listener)
            return SetOutcome(name=name, done=done, error=done.error)
        except InsaatError as error:
            return SetOutcome(name=name, error=error)
    after_failure(prepared, outcome)
    return SetOutcome(name=name, error=outcome)


def _check_outputs(sets: Mapping[str, ReconstructionOptions]) -> None:
    taken: dict[str, str] = {}
    for name, options in sets.items():
        output = str(output_of(options))
        if output in taken:
            raise UsageError(
                f"the photo sets {printable(taken[output])} and {printable(name)} would both "
                f"write to {printable(output)}",
                hint="give each its own output folder, with -o or in a jobs file",
            )
        taken[output] = name


def _check_pipelines(sets: Mapping[str, ReconstructionOptions]) -> None:
    checked = set()
    for name, options in sets.items():
        asked = (
            options.pipeline, options.preset, options.settings, options.roi, options.complete,
            options.background, options.formats,
        )  # fmt: skip
        if asked in checked:
            continue
        checked.add(asked)
        try:
            chosen_pipeline(options)
        except UsageError as error:
            raise UsageError(f"{printable(name)}: {error.message}", hint=error.hint) from error
