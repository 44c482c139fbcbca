"""Carries a plan out: starts stages as the scheduler decides, checks, publishes, records."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from insaat_cli.attempt import Attempt, AttemptSpec
from insaat_cli.errors import InsaatError, MemoryLimitError, StoppedError
from insaat_cli.estimate import TimeLeft
from insaat_cli.expect import check_outputs, read_metrics
from insaat_cli.forecast import dry_run, forecast
from insaat_cli.history import History
from insaat_cli.meter import Meter
from insaat_cli.pipeline import Stage
from insaat_cli.planning import Planner, changes
from insaat_cli.process import STOP_DEADLINE_S
from insaat_cli.requirements import check_requirements
from insaat_cli.retries import Retries
from insaat_cli.run_events import (
    Listener,
    RunEvent,
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
from insaat_cli.run_plan import RunPlan, RunResult
from insaat_cli.run_record import DONE, FAILED, RUNNING, STOPPED, RunRecord, StageRecord
from insaat_cli.scheduler import Budget, Refuse, Start, State, decide
from insaat_cli.stopping import StopRequest
from insaat_cli.verdict import MEMORY_HINT, Verdict, judge, judge_result
from insaat_cli.wording import size
from insaat_cli.workspace import Workspace, explain_disk, write_json

TICK_S = 0.02
__all__ = ["RunPlan", "RunResult", "run_pipeline"]


def run_pipeline(
    plan: RunPlan,
    listener: Listener,
    *,
    stop: StopRequest | None = None,
    history: History | None = None,
) -> RunResult:
    """Run `plan`, telling `listener` what happens.

    Any expected fault is an InsaatError with its stage and log, after everything was stopped and
    run.json written; StoppedError after SIGINT, SIGTERM or `stop`. Finished stages stay.
    """
    planner = Planner(plan, history or History())
    check_requirements(plan.pipeline)
    workspace = Workspace(plan.workspace)
    if plan.dry_run:
        return dry_run(planner, workspace, set(stages_to_redo(plan)), listener)
    stop = stop or StopRequest()
    try:
        with stop.on_signals(), workspace.locked():
            return _Run(planner, workspace, _apart(listener), stop).execute()
    except _ListenerError as fault:
        raise fault.error from None


class _ListenerError(Exception):
    """The listener could not write, perhaps to a closed pipe: no fault of the workspace's disk."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _apart(listener: Listener) -> Listener:
    def send(event: RunEvent) -> None:
        try:
            listener(event)
        except OSError as error:
            raise _ListenerError(error) from error

    return send


class _Run:
    """The one run that holds the workspace."""

    def __init__(
        self, planner: Planner, workspace: Workspace, listener: Listener, stop: StopRequest
    ) -> None:
        self.planner, self.plan = planner, planner.plan
        self.workspace, self.send, self.stop = workspace, listener, stop
        self.stages = {stage.name: stage for stage in planner.stages}
        records = [
            StageRecord(name=s.name, title=s.title, log=f"logs/{s.name}.log", params=s.params)
            for s in planner.stages
        ]
        self.record = RunRecord(self.plan, workspace, records)
        budget = Budget(memory_bytes=self.plan.memory_budget_bytes, cores=self.plan.threads)
        self.state = State(budget=budget, waiting=tuple(map(planner.task, planner.stages)))
        self.attempts: dict[str, Attempt] = {}
        self.retries = Retries(planner)
        self.started = time.monotonic()
        self.clock = TimeLeft({s.name: planner.seconds(s) for s in planner.stages})
        self.meter = Meter(self.clock, self.plan.memory_budget_bytes, listener)

    def execute(self) -> RunResult:
        try:
            try:
                with explain_disk(self.workspace.root):
                    self._prepare()
                    self._loop()
                    return self._finish()
            finally:
                self._stop_children()
        except InsaatError as error:
            self._end_badly(error)
            raise

    def _prepare(self) -> None:
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
        for told in forecast(Planner(plan, self.planner.history), self.workspace, again):
            if not (told.fits or told.skipped):
                raise self._refusal(told.stage, told.option.memory_bytes)
        for name in again:
            self.workspace.withdraw(name)
        photos = [photo.to_json() for photo in plan.photos]
        left_out = [left.to_json() for left in plan.left_out]
        write_json(self.workspace.photos, {"photos": photos, "left_out": left_out})
        self.record.write()

    def _loop(self) -> None:
        while self.state.waiting or self.attempts:
            if self.stop.code is not None:
                raise StoppedError("stopped", code=self.stop.code)
            self._skip_finished()
            decisions, self.state = decide(self.state)
            for decision in decisions:
                if isinstance(decision, Refuse):
                    raise self._refusal(self.stages[decision.key], decision.needed_bytes)
                self._start(decision)
            for attempt in list(self.attempts.values()):
                attempt.listen()
                exit_code = attempt.child.exit_code()
                if exit_code is not None:
                    self._ended(attempt, exit_code)
            self.meter.tick(self.attempts.values())
            if self.attempts:
                time.sleep(TICK_S)

    def _skip_finished(self) -> None:
        """Take over every stage whose published result still holds."""
        skipped = True
        while skipped:
            skipped = False
            for task in list(self.state.ready()):
                stage = self.stages[task.key]
                marker = self.workspace.marker(stage.name, self.planner.fingerprint(stage))
                if marker is None or self.record.stages[stage.name].attempts:
                    continue
                self.record.stages[stage.name].take(marker)
                self.state = self.state.skip(stage.name)
                self._accept(stage, marker)
                self.clock.skipped(stage.name)
                self.send(StageSkipped(stage=stage.name, title=stage.title))
                skipped = True

    def _accept(self, stage: Stage, marker: Mapping[str, Any]) -> None:
        """`stage` is done. If with lowered settings, later stages will need less, too."""
        self.planner.accept(stage, marker)
        waiting = [(self.stages[task.key], task.options[0].rung) for task in self.state.waiting]
        self.state = self.state.with_options(
            {later.name: self.planner.options(later, rung) for later, rung in waiting}
        )

    def _start(self, start: Start) -> None:
        stage = self.stages[start.key]
        record = self.record.stages[stage.name]
        settings = self.planner.settings(stage, start.option.rung)
        self.planner.params[stage.name] = settings.params
        record.attempts += 1
        if record.attempts == 1 and start.option.rung:
            changed = changes(stage.params, settings.params)
            self._changed(stage, "it would not fit the memory budget", changed)
        record.status, record.threads = RUNNING, start.option.threads
        record.fingerprint = self.planner.fingerprint(stage)
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
        )
        attempt = Attempt(self.workspace, spec, self.send)
        self.attempts[stage.name] = attempt
        self.send(
            StageStarted(
                stage=stage.name,
                title=stage.title,
                threads=start.option.threads,
                attempt=record.attempts,
                predicted_bytes=start.option.memory_bytes,
                predicted_seconds=record.predicted_seconds,
                log=attempt.log,
            )
        )

    def _ended(self, attempt: Attempt, exit_code: int) -> None:
        attempt.listen()
        stage = attempt.spec.stage
        del self.attempts[stage.name]
        attempt.child.close()
        record = self.record.stages[stage.name]
        record.seconds = round(record.seconds + attempt.seconds, 3)
        record.peak_bytes = max(record.peak_bytes, attempt.child.peak_bytes)
        record.warnings = attempt.warnings
        verdict = self._verdict(attempt, exit_code)
        if verdict is None:
            self._publish(attempt, record)
        elif self.stop.code is None:  # else the stop is the reason, and the loop sees it
            self._try_again(attempt, verdict)

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
        self.state = self.state.finish(stage.name)
        self._accept(stage, marker)
        self.clock.finished(stage.name, attempt.seconds)
        self.planner.remember(
            stage,
            attempt.spec.params,
            attempt.spec.option.threads,
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

    def _try_again(self, attempt: Attempt, verdict: Verdict) -> None:
        """Queue another attempt as the verdict allows, or raise its error."""
        stage, option = attempt.spec.stage, attempt.spec.option
        retry = self.retries.after(stage, option, verdict.remedy, attempt.child.peak_bytes)
        if retry is None:
            raise verdict.error
        self.clock.restarted(stage.name)
        self._changed(stage, verdict.error.message, retry.changes)
        self.state = self.state.again(retry.task)

    def _changed(self, stage: Stage, reason: str, changed: dict[str, Any]) -> None:
        """Tell the board and the record that a stage runs with other settings than asked for."""
        values = ", ".join(f"{name} = {value}" for name, value in changed.items())
        sentence = f"{reason}; tried again with {values or 'the same settings'}"
        if changed:
            self.record.stages[stage.name].degraded.append(sentence)
        self.send(StageDegraded(stage=stage.name, reason=reason, changes=changed))

    def _refusal(self, stage: Stage, needed_bytes: int) -> MemoryLimitError:
        enough = f"--max-memory {math.ceil(needed_bytes / 1e6)}M"
        return MemoryLimitError(
            f"{stage.title}: needs about {size(needed_bytes)} of memory, the budget is "
            f"{size(self.plan.memory_budget_bytes)}",
            hint=f"{enough} would do; or {MEMORY_HINT}",
            stage=stage.name,
        )

    def _finish(self) -> RunResult:
        last = self.plan.pipeline.stages[-1].name
        if last in self.stages:
            self.record.results = self.workspace.place_results(last, self.plan.results)
        self.record.peak_bytes = self.meter.peak_bytes
        self.record.end(None)
        seconds = time.monotonic() - self.started
        results, peak = self.record.results, self.meter.peak_bytes
        self.send(RunFinished(results=results, seconds=seconds, peak_bytes=peak))
        return RunResult(
            workspace=self.workspace.root,
            stages=tuple(
                record.summary(self.workspace.folder(record.name))
                for record in self.record.stages.values()
            ),
            results=results,
            seconds=seconds,
            peak_bytes=peak,
            record=self.workspace.record,
        )

    def _stop_children(self) -> None:
        """TERM to every stage that runs; KILL past the deadline, or when asked to stop twice."""
        running = [attempt.child for attempt in self.attempts.values()]
        for child in running:
            child.terminate()
        deadline = time.monotonic() + STOP_DEADLINE_S
        while any(child.exit_code() is None for child in running):
            if self.stop.urgent or time.monotonic() > deadline:
                break
            time.sleep(TICK_S)
        for child in running:
            child.close()

    def _end_badly(self, error: InsaatError) -> None:
        stopped = isinstance(error, StoppedError)
        for record in self.record.stages.values():
            if record.status == RUNNING:
                failed = not stopped and record.name == error.stage
                record.status = FAILED if failed else STOPPED
        if error.stage in self.stages:
            stage = self.stages[error.stage]
            self.record.stages[stage.name].status = FAILED
            self.send(
                StageFailed(
                    stage=stage.name,
                    title=stage.title,
                    message=error.message,
                    hint=error.hint,
                    log=error.log,
                )
            )
        self.record.peak_bytes = self.meter.peak_bytes
        with suppress(OSError):  # a full disk must not hide that it is full
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
