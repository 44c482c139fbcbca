"""One run: how it starts, what its stages leave, how it ends. The runner has the loop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from insaat_cli.errors import InsaatError, MemoryLimitError, StoppedError
from insaat_cli.formatting import size
from insaat_cli.machine.limits import machine_limits
from insaat_cli.pipeline.definition import Stage
from insaat_cli.planning.forecast import Forecast, check_disk, forecast_within_budget
from insaat_cli.planning.history import History
from insaat_cli.planning.memory_advice import enough_memory
from insaat_cli.planning.planner import Planner, changes
from insaat_cli.planning.run_plan import RunPlan, foreseen_results
from insaat_cli.planning.scheduler import Option, Start, Task, TaskKey, ways_on
from insaat_cli.runner.attempt import Attempt, AttemptSpec
from insaat_cli.runner.events import (
    Listener,
    RunFailed,
    RunFinished,
    RunStarted,
    StageDegraded,
    StageFailed,
    StageFinished,
    StageOutline,
    StageSkipped,
    StageStarted,
)
from insaat_cli.runner.failure_diagnosis import MEMORY_HINT, Verdict, judge, judge_result
from insaat_cli.runner.output_checks import check_outputs, read_metrics
from insaat_cli.runner.progress import Meter, TimeLeft
from insaat_cli.runner.retries import Retries, Retry
from insaat_cli.runner.run_ending import keep_what_stands, place_results
from insaat_cli.runner.run_record import RunRecord, StageRecord
from insaat_cli.runner.run_result import DONE, FAILED, RUNNING, STOPPED, RunResult
from insaat_cli.runner.suspect_settings import with_suspects
from insaat_cli.workspace.json_file import write_json
from insaat_cli.workspace.results import older_results
from insaat_cli.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What an attempt that is over means: the stage is done, or `again` is to be queued."""

    done: bool = False
    again: Task[TaskKey] | None = None


class Run:
    """The one run that holds its workspace. `number` tells it from the others beside it."""

    def __init__(self, number: int, plan: RunPlan, history: History, listener: Listener) -> None:
        self.number, self.plan, self.send = number, plan, listener
        self.planner = Planner(plan, history, number)
        self.workspace = Workspace(plan.workspace)
        self.stages = {stage.name: stage for stage in self.planner.stages}
        self._retries = Retries(self.planner)
        self._rungs: dict[str, int] = {}
        """Of the `on_memory` ladders, as far as the user knows."""
        self._started = time.monotonic()
        self._clock = TimeLeft({s.name: self.planner.seconds(s) for s in self.planner.stages})
        self.meter = Meter(self._clock, plan.memory_budget_bytes, listener)
        self._lock = ExitStack()

    @property
    def keys(self) -> frozenset[TaskKey]:
        """Of all its stages."""
        return frozenset(TaskKey(run=self.number, stage=name) for name in self.stages)

    @property
    def predicted_seconds(self) -> float:
        """Of all its stages, one after the other."""
        return self._clock.seconds_left()

    def open(self) -> None:
        """Take the workspace. Nothing else may be called before, nor after `close`."""
        pipeline = self.plan.pipeline
        self._lock.enter_context(
            self.workspace.locked(
                [stage.name for stage in pipeline.stages],
                foreseen_results(pipeline),
                overwrite=self.plan.overwrite,
            )
        )
        records = [StageRecord.waiting(stage) for stage in self.planner.stages]
        self.record = RunRecord(self.plan, self.workspace, records, self.planner.request)

    def close(self) -> None:
        """Give the workspace back."""
        self._lock.close()

    def tasks(self) -> tuple[Task[TaskKey], ...]:
        return tuple(self.planner.task(stage) for stage in self.planner.stages)

    def prepare(self) -> None:
        """Say that it starts; refuse what cannot fit before any work is done."""
        plan = self.plan
        self.workspace.clean()
        self.send(
            RunStarted(
                pipeline=plan.pipeline.name,
                preset=plan.preset,
                workspace=self.workspace.root,
                stages=tuple(
                    StageOutline(name=s.name, title=s.title) for s in self.stages.values()
                ),
                photos=len(plan.photos),
                memory_budget_bytes=plan.memory_budget_bytes,
                threads=plan.threads,
            )
        )
        again = stages_to_redo(plan)
        history = self.planner.history
        rungs, forecasts = forecast_within_budget(plan, history, self.workspace, again)
        self._refuse(forecasts)
        self.planner.min_rung |= rungs
        check_disk(self.workspace.root, forecasts)
        for name in again:
            self.workspace.withdraw(name)
        photos = [photo.to_json() for photo in plan.photos]
        left_out = [left.to_json() for left in plan.left_out]
        write_json(self.workspace.photos, {"photos": photos, "left_out": left_out})
        self.record.write()

    def _refuse(self, forecasts: list[Forecast]) -> None:
        short = [one for one in forecasts if not (one.fits or one.skipped)]
        if short:
            worst = max(short, key=lambda one: one.option.memory_bytes)
            raise self.refusal(worst.stage, worst.option.memory_bytes)

    def take_over(self, name: str) -> bool:
        """Accept the published result of a stage that is ready, if it still holds."""
        stage = self.stages[name]
        marker = self.workspace.marker(stage.name, self.planner.fingerprint(stage))
        if marker is None or self.record.stages[stage.name].attempts:
            return False
        if not self.planner.stands(stage, marker):
            return False
        self.record.stages[stage.name].take(marker)
        self.planner.accept(stage, marker)
        self._clock.skipped(stage.name)
        self.send(StageSkipped(stage=stage.name, title=stage.title))
        return True

    def can_be_cheaper(self, attempt: Attempt) -> bool:
        """Whether a running stage could do with less memory than was predicted for it."""
        spec = attempt.spec
        others = self.planner.options(spec.stage, spec.option.rung)
        fewer = any(other.memory_bytes < spec.option.memory_bytes for other in others)
        return fewer or self.planner.next_rung(spec.stage, spec.option) is not None

    def options(self, tasks: Iterable[Task[TaskKey]]) -> dict[TaskKey, tuple[Option, ...]]:
        """The ways to run `tasks` after a stage was done: perhaps with reduced settings, perhaps
        of another run, whose figures say something about this one."""
        self.planner.learn()
        found = {}
        for task in tasks:
            options = self.planner.options(self.stages[task.key.stage], task.options[0].rung)
            # What is learned on the way must not refuse a stage that was admitted at the start;
            # and nobody knows what one that has to run alone will need.
            if not task.alone and ways_on(replace(task, options=options), self.plan.budget):
                found[task.key] = options
        return found

    def start(self, start: Start[TaskKey]) -> Attempt:
        """Begin an attempt at a stage; `started` tells of it."""
        stage = self.stages[start.key.stage]
        record = self.record.stages[stage.name]
        settings = self.planner.settings(stage, start.option.rung)
        self.planner.params[stage.name] = settings.params
        record.attempts += 1
        known = self._rungs.get(stage.name, 0)
        if start.option.rung > known:
            before = self.planner.settings(stage, known).params
            changed = changes(before, settings.params)
            early = self.planner.min_rung[stage.name] == start.option.rung
            what = "a later stage" if early else "it"
            self._changed(stage, f"{what} would exceed the memory budget", changed)
            self._rungs[stage.name] = start.option.rung
        record.status, record.threads = RUNNING, start.option.threads
        record.fingerprint, record.run = self.planner.fingerprint(stage), self.record.run
        record.params = settings.params
        record.predicted_bytes = start.option.memory_bytes
        record.predicted_seconds = round(self.planner.seconds(stage), 3)
        self.record.write()
        spec = AttemptSpec(
            stage=stage,
            params=settings.params,
            option=start.option,
            grant_bytes=start.grant_bytes,
            number=record.attempts,
            alone=start.alone,
            limits=self.plan.deadlines.limits(self.planner.seconds(stage)),
        )
        return Attempt(self.workspace, spec, self.send)

    def started(self, attempt: Attempt) -> None:
        """Say so, once somebody stands ready to stop it: whoever hears of it may fail."""
        stage, option = attempt.spec.stage, attempt.spec.option
        self.send(
            StageStarted(
                stage=stage.name,
                title=stage.title,
                threads=option.threads,
                attempt=attempt.spec.number,
                predicted_bytes=option.memory_bytes,
                predicted_seconds=self.record.stages[stage.name].predicted_seconds,
                log=attempt.log,
            )
        )

    def ended(self, attempt: Attempt, exit_code: int, *, retry: bool) -> Ended:
        """The attempt at a stage is over; an error that cannot be mended is raised."""
        attempt.listen()
        stage = attempt.spec.stage
        attempt.child.close()
        record = self.record.stages[stage.name]
        record.seconds = round(record.seconds + attempt.seconds, 3)
        record.cpu_seconds = round(record.cpu_seconds + attempt.child.cpu_seconds, 3)
        record.peak_bytes = max(record.peak_bytes, attempt.child.peak_bytes)
        record.warnings += attempt.warnings
        if attempt.timed_out and retry:
            raise attempt.timed_out
        if attempt.stopped:
            return self._after_stop(attempt) if retry else Ended()
        verdict = self._verdict(attempt, exit_code)
        if verdict is None:
            self._publish(attempt, record)
            return Ended(done=True)
        return self._after_fault(attempt, verdict) if retry else Ended()

    def _after_stop(self, attempt: Attempt) -> Ended:
        stage, option = attempt.spec.stage, attempt.spec.option
        peak = attempt.child.peak_bytes
        retry = self._retries.stopped(stage, option, peak, alone=attempt.spec.alone)
        if retry is None:
            message = f"{stage.title}: stopped at {size(peak)} of memory: {attempt.stopped}"
            raise MemoryLimitError(message, hint=MEMORY_HINT, stage=stage.name, log=attempt.log)
        alone = " (alone)" if retry.task.alone else ""
        return self._again(stage, f"stopped: {attempt.stopped}{alone}", retry)

    def _after_fault(self, attempt: Attempt, verdict: Verdict) -> Ended:
        stage, option = attempt.spec.stage, attempt.spec.option
        retry = self._retries.after(stage, option, verdict.remedy, attempt.child.peak_bytes)
        if retry is None:
            raise with_suspects(verdict.error, stage, self.planner)
        return self._again(stage, verdict.error.message, retry)

    def _again(self, stage: Stage, reason: str, retry: Retry) -> Ended:
        self._clock.restarted(stage.name)
        self._changed(stage, reason, retry.changes)
        self._rungs[stage.name] = retry.task.options[0].rung
        return Ended(again=retry.task)

    def _verdict(self, attempt: Attempt, exit_code: int) -> Verdict | None:
        stage = attempt.spec.stage
        ending = attempt.ending(exit_code)
        if ending is not None:
            return judge(stage, ending)
        scratch = self.workspace.scratch(stage.name)
        try:
            metrics = read_metrics(scratch)
            self.record.stages[stage.name].metrics = metrics
            check_outputs(stage, scratch, metrics)
        except InsaatError as error:
            return judge_result(stage, error, attempt.log)
        return None

    def _publish(self, attempt: Attempt, record: StageRecord) -> None:
        stage = attempt.spec.stage
        record.status = DONE
        marker = record.marker()
        self.workspace.publish(stage.name, marker, stage.outputs)
        self.planner.accept(stage, marker)
        self._clock.finished(stage.name, attempt.seconds)
        self.planner.remember(
            stage,
            attempt.spec.params,
            attempt.spec.option,
            attempt.seconds,
            attempt.child.peak_bytes,
        )
        self.record.write()
        self.send(
            StageFinished(
                stage=stage.name,
                title=stage.title,
                seconds=record.seconds,
                peak_bytes=record.peak_bytes,
                metrics=record.metrics,
            )
        )

    def _changed(self, stage: Stage, reason: str, changed: dict[str, Any]) -> None:
        """Tell the board and the record that a stage runs with other settings than asked for."""
        values = ", ".join(f"{name} = {value}" for name, value in changed.items())
        sentence = f"{reason}; retried with {values or 'the same settings'}"
        if changed:
            self.record.stages[stage.name].degraded.append(sentence)
        self.send(StageDegraded(stage=stage.name, reason=reason, changes=changed))

    def refusal(self, stage: Stage, needed_bytes: int) -> MemoryLimitError:
        """Why `stage` cannot run at all, and what would do."""
        plan, history = self.plan, self.planner.history
        enough = enough_memory(plan, history, self.workspace, stages_to_redo(plan))
        return MemoryLimitError(
            f"{stage.title}: needs about {size(needed_bytes)} of memory, but the budget is "
            f"{size(plan.memory_budget_bytes)}",
            hint=enough.hint(machine_limits().memory_bytes),
            stage=stage.name,
        )

    def finish(self) -> RunResult:
        """All stages are done: put the results in their place."""
        results: tuple[Path, ...] = ()
        notes: list[str] = []
        last = self.plan.pipeline.stages[-1].name
        if last in self.stages:
            results = place_results(self.plan, self.workspace, self.record, notes)
        keep_what_stands(self.planner, self.workspace, self.record)
        elapsed = time.monotonic() - self._started
        figures = self.record.measured(elapsed, self.meter.peak_bytes)
        self.record.figures, self.record.report_run = figures, self.record.run
        self.record.end(None)
        self.send(RunFinished(results=results, seconds=elapsed, peak_bytes=figures.peak_bytes))
        return RunResult(
            workspace=self.workspace.root,
            stages=tuple(
                record.summary(self.workspace.folder(record.name))
                for record in self.record.stages.values()
            ),
            results=results,
            seconds=figures.seconds,
            peak_bytes=figures.peak_bytes,
            record=self.workspace.record,
            reused=figures if figures.reused else None,
            notes=(*notes, *older_results(self.workspace.root).values()),
        )

    def end_badly(self, error: InsaatError) -> None:
        """Write down why it ended, and say so."""
        stopped = isinstance(error, StoppedError)
        for record in self.record.stages.values():
            if record.status == RUNNING:
                failed = not stopped and record.name == error.stage
                record.status = FAILED if failed else STOPPED
        if error.stage in self.stages:
            stage = self.stages[error.stage]
            record = self.record.stages[stage.name]
            record.status = FAILED
            if record.attempts:  # else it was refused before any work
                self.send(
                    StageFailed(
                        stage=stage.name,
                        title=stage.title,
                        message=error.message,
                        hint=error.hint,
                        log=error.log,
                    )
                )
        self.record.figures = self.record.measured(
            time.monotonic() - self._started, self.meter.peak_bytes
        )
        if not stopped:
            self.record.report_run = self.record.run
        with suppress(OSError):  # a full disk must not hide that it is full
            keep_what_stands(self.planner, self.workspace, self.record)
            self.record.end(error)
        self.send(
            RunFailed(
                code=int(error.code),
                message=error.message,
                hint=error.hint,
                stage=error.stage,
                log=error.log,
            )
        )


def stages_to_redo(plan: RunPlan) -> list[str]:
    """The stages whose published results the plan wants to be forgotten, the last first."""
    names = [stage.name for stage in plan.pipeline.stages]
    if not plan.restart:
        again = plan.pipeline.dependants(plan.from_stage) if plan.from_stage else frozenset()
        names = [name for name in names if name in again]
    return names[::-1]
