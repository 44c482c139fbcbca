"""Carries plans out: starts stages as the scheduler decides, watches them, tells runs what ended.

One loop serves one run or many: they share one budget of memory and cores, and a fault of one does
not stop the others.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from insaat_cli.errors import InsaatError, StoppedError
from insaat_cli.machine.available_memory import AvailableMemory
from insaat_cli.machine.process_memory import process_bytes
from insaat_cli.planning.forecast import forecast_within_budget
from insaat_cli.planning.history import History
from insaat_cli.planning.run_plan import RunPlan, foreseen_results
from insaat_cli.planning.scheduler import Budget, Refuse, State, Task, TaskKey, decide
from insaat_cli.runner.attempt import Attempt
from insaat_cli.runner.background_compile import Precompiling
from insaat_cli.runner.deadline_watch import DeadlineWatch
from insaat_cli.runner.dry_run import dry_run
from insaat_cli.runner.events import Listener, MemorySample, RunEvent
from insaat_cli.runner.memory_watch import MemoryWatch
from insaat_cli.runner.process import STOP_DEADLINE_S
from insaat_cli.runner.requirements import check_requirements
from insaat_cli.runner.run import Run, stages_to_redo
from insaat_cli.runner.run_result import RunResult
from insaat_cli.runner.stop_request import StopRequest
from insaat_cli.workspace.workspace import Workspace, explain_disk

TICK_S = 0.05
STOP_TICK_S = 0.02
SHORTEST_TICK_S = 0.01
OWN_EVERY_S = 2.0
"""Between measurements of this process itself, whose memory hardly changes."""
BUSY_SHARE = 0.8
"""Above this share of the budget nothing is compiled in the background."""
PATIENCE_S = 10.0
"""How long an idle machine waits for other programs to leave room before it makes do with less."""
Outcome = RunResult | InsaatError
__all__ = ["Job", "Outcome", "RunPlan", "RunResult", "run_pipeline", "run_pipelines"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One of several runs."""

    plan: RunPlan
    listener: Listener
    ended: Callable[[Outcome], None] = lambda outcome: None
    """Called as soon as this run is over."""


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
    if plan.dry_run:
        check_requirements(plan.pipeline)
        workspace = Workspace(plan.workspace)
        stages = [stage.name for stage in plan.pipeline.stages]
        workspace.check(stages, foreseen_results(plan.pipeline), overwrite=plan.overwrite)
        again = stages_to_redo(plan)
        _, forecasts = forecast_within_budget(plan, history or History(), workspace, again)
        return dry_run(workspace, forecasts, listener)
    job = Job(plan=plan, listener=listener)
    (outcome,) = run_pipelines([job], stop=stop, history=history)
    if isinstance(outcome, InsaatError):
        raise outcome
    return outcome


def run_pipelines(
    jobs: Sequence[Job],
    *,
    totals: Listener | None = None,
    stop: StopRequest | None = None,
    history: History | None = None,
    available_memory: AvailableMemory | None = None,
) -> tuple[Outcome, ...]:
    """Run all `jobs` under one budget, the largest of theirs; what came of each, in their order.

    `totals` hears the memory of all together. Once stopped, all that are not over are StoppedError.
    """
    stop = stop or StopRequest()
    jobs = [replace(job, listener=_apart(job.listener)) for job in jobs]
    heard = _apart(totals) if totals else _ignore
    try:
        with stop.on_signals():
            loop = _Loop(jobs, heard, stop, available_memory or AvailableMemory())
            return loop.execute(history or History())
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


def _ignore(event: RunEvent) -> None:
    """Nobody listens."""


class _Loop:
    """All runs until the last of them is over."""

    def __init__(
        self,
        jobs: Sequence[Job],
        totals: Listener,
        stop: StopRequest,
        available_memory: AvailableMemory,
    ) -> None:
        self.jobs, self.totals, self.stop = jobs, totals, stop
        self.outcomes: dict[int, Outcome] = {}
        self.runs: dict[int, Run] = {}
        """Those that are not over."""
        budgets = [job.plan.budget for job in jobs]
        self.budget = Budget(
            memory_bytes=max((budget.memory_bytes for budget in budgets), default=0),
            cores=max((budget.cores for budget in budgets), default=1),
            stretch_bytes=max((budget.stretch_bytes for budget in budgets), default=0),
        )
        self.state: State[TaskKey] = State(budget=self.budget)
        self.attempts: dict[TaskKey, Attempt] = {}
        """The oldest first."""
        self.memory_watch = MemoryWatch(self.budget.memory_bytes, available_memory)
        self.deadline_watch = DeadlineWatch()
        self.precompiling = Precompiling()
        self.available_memory = available_memory
        self.peak_bytes = 0
        self._own_bytes = 0
        self._own_measured = -OWN_EVERY_S
        self._changed = True
        """Something happened since the last decision."""
        self._idle_since: float | None = None

    def execute(self, history: History) -> tuple[Outcome, ...]:
        try:
            for number, job in enumerate(self.jobs):
                self._open(number, job, history)
            self._longest_first()
            while self.runs and self.stop.code is None:
                self._step()
            self._stop_children(list(self.attempts.values()))
            for run in list(self.runs.values()):
                code = self.stop.code
                assert code is not None
                self._fail(run, StoppedError("stopped", code=code))
        finally:
            self._stop_children(list(self.attempts.values()))
            self.precompiling.close()
            for run in self.runs.values():
                run.close()
        return tuple(self.outcomes[number] for number in range(len(self.jobs)))

    def _open(self, number: int, job: Job, history: History) -> None:
        try:
            run = Run(number, job.plan, history, job.listener)
            check_requirements(job.plan.pipeline)
            run.open()
        except InsaatError as error:
            self._over(number, error)
            return
        self.runs[number] = run
        with self._of(run):
            run.prepare()
            self.state = replace(self.state, waiting=(*self.state.waiting, *run.tasks()))

    def _longest_first(self) -> None:
        """Give the longest runs their turn first: a long one that is left alone at the end leaves
        most of the machine idle (Graham 1969)."""
        seconds = {number: run.predicted_seconds for number, run in self.runs.items()}

        def left(task: Task[TaskKey]) -> float:
            run = self.runs.get(task.key.run)
            return -seconds[run.number] if run else 0.0

        self.state = replace(self.state, waiting=tuple(sorted(self.state.waiting, key=left)))

    @contextmanager
    def _of(self, run: Run) -> Iterator[None]:
        """A fault inside is a fault of `run` alone."""
        try:
            with explain_disk(run.workspace.root):
                yield
        except InsaatError as error:
            self._fail(run, error)

    def _step(self) -> None:
        for key, attempt in list(self.attempts.items()):
            if key in self.attempts:  # else its run failed meanwhile
                attempt.listen()
                exit_code = attempt.child.exit_code()
                if exit_code is not None:
                    self._ended(key, exit_code)
        for key, error in self.deadline_watch.overdue(self.attempts).items():
            self.attempts[key].time_out(error)
        self._measure()
        if self._changed or self._idle_since is not None:
            self._changed = False
            self._skip_finished()
            self._decide()
        for run in list(self.runs.values()):
            run.meter.tick(self._attempts_of(run))
            if not (self._attempts_of(run) or self._waiting_of(run)):
                self.precompiling.close()
                with self._of(run):
                    self._over(run.number, run.finish())
        if self.attempts or self._idle_since is not None:
            self._wait()

    def _waiting_of(self, run: Run) -> list[Task[TaskKey]]:
        return [task for task in self.state.waiting if task.key.run == run.number]

    def _attempts_of(self, run: Run) -> list[Attempt]:
        return [attempt for key, attempt in self.attempts.items() if key.run == run.number]

    def _wait(self) -> None:
        """Until a stage says something, or it is time to look again."""
        fds = [a.child.events_fd for a in self.attempts.values() if not a.child.silent]
        time.sleep(SHORTEST_TICK_S)  # a stage that talks all the time must not keep us busy
        select.select(fds, [], [], TICK_S)

    def _skip_finished(self) -> None:
        """Take over every stage whose published result still holds."""
        tried: set[TaskKey] = set()
        while fresh := [task for task in self.state.ready() if task.key not in tried]:
            for task in fresh:
                tried.add(task.key)
                if (run := self.runs.get(task.key.run)) is None:  # it failed by the task before
                    continue
                with self._of(run):
                    if run.take_over(task.key.stage):
                        self._done(self.state.skip(task.key))

    def _done(self, state: State[TaskKey]) -> None:
        """A stage is done, as `state` says. If degraded, later stages of its run will need less,
        too; and what it took corrects the forecast of the same stage in all runs."""
        self.state = state
        for other in self.runs.values():
            options = other.options(self._waiting_of(other))
            self.state = self.state.with_options(options)
        self._changed = True

    def _decide(self) -> None:
        room = self.memory_watch.room_bytes(self.attempts)
        if self.attempts:  # beside others this process counts, too
            held = sum(option.memory_bytes for option in self.state.running.values())
            room = min(room, self.budget.memory_bytes - held - self._own_bytes)
        decisions, state = decide(replace(self.state, room_bytes=room))
        if not (decisions or self.attempts) and any(True for _ in self.state.ready()):
            now = time.monotonic()
            self._idle_since = self._idle_since or now
            if now - self._idle_since > PATIENCE_S:
                decisions, state = decide(_make_do(self.state, room))
        if decisions:
            self._idle_since = None
        self.state = replace(state, room_bytes=None, budget=self.budget)
        for decision in decisions:
            if (run := self.runs.get(decision.key.run)) is None:  # it failed by an earlier decision
                continue
            with self._of(run):
                if isinstance(decision, Refuse):
                    raise run.refusal(run.stages[decision.key.stage], decision.needed_bytes)
                attempt = self.attempts[decision.key] = run.start(decision)
                run.started(attempt)
                self.precompiling.begin(attempt, self._spare_bytes())

    def _spare_bytes(self) -> int:
        """What is left of the budget beside the largest stage, whichever runs."""
        largest = max(
            (
                *(option.memory_bytes for option in self.state.running.values()),
                *(task.options[0].memory_bytes for task in self.state.waiting),
            ),
            default=0,
        )
        return self.budget.memory_bytes - largest - self._own_bytes

    def _measure(self) -> None:
        now = time.monotonic()
        if now - self._own_measured >= OWN_EVERY_S:
            self._own_measured = now
            self._own_bytes = process_bytes(os.getpid()) + self.precompiling.used_bytes()
        sampled = [attempt.child.sample() for attempt in self.attempts.values()]
        if not any(sampled):
            return
        used = self._own_bytes + sum(a.child.used_bytes for a in self.attempts.values())
        self.peak_bytes = max(self.peak_bytes, used)
        budget = self.budget.memory_bytes
        if used > BUSY_SHARE * budget:
            self.precompiling.close()
        sample = MemorySample(used_bytes=used, peak_bytes=self.peak_bytes, budget_bytes=budget)
        self.totals(sample)
        own = self._own_bytes if len(self.jobs) == 1 else 0
        for run in self.runs.values():
            run.meter.measured(self._attempts_of(run), own)
        if self.memory_watch.act(self.attempts, self._own_bytes, self._can_be_cheaper):
            self._changed = True

    def _can_be_cheaper(self, key: TaskKey) -> bool:
        run = self.runs.get(key.run)
        return run is not None and run.can_be_cheaper(self.attempts[key])

    def _ended(self, key: TaskKey, exit_code: int) -> None:
        attempt = self.attempts.pop(key)
        self._changed = True
        run = self.runs.get(key.run)
        if run is None:
            return
        with self._of(run):
            ended = run.ended(attempt, exit_code, retry=self.stop.code is None)
            if ended.done:
                self._done(self.state.finish(key))
            elif ended.again:
                self.state = self.state.again(ended.again)

    def _fail(self, run: Run, error: InsaatError) -> None:
        """`run` is over, the others go on."""
        self._stop_children(self._attempts_of(run))
        self.attempts = {k: a for k, a in self.attempts.items() if k.run != run.number}
        run.end_badly(error)
        self._over(run.number, error)

    def _over(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome
        run = self.runs.pop(number, None)
        if run is not None:
            self.state = self.state.drop(run.keys)
            self._changed = True
            run.close()
        self.jobs[number].ended(outcome)

    def _stop_children(self, attempts: Sequence[Attempt]) -> None:
        """TERM to these stages; KILL past the deadline, or when asked to stop twice."""
        running = [attempt.child for attempt in attempts]
        for child in running:
            child.terminate()
        deadline = time.monotonic() + STOP_DEADLINE_S
        while any(child.exit_code() is None for child in running):
            if self.stop.urgent or time.monotonic() > deadline:
                break
            time.sleep(STOP_TICK_S)
        for child in running:
            child.close()


def _make_do(state: State[TaskKey], room_bytes: int | None) -> State[TaskKey]:
    """Other programs keep what they have: fit into the rest, at worst in the cheapest way."""
    ready = next(state.ready())
    least = min(option.memory_bytes for option in ready.options)
    memory_bytes = min(state.budget.memory_bytes, max(least, room_bytes or 0))
    return replace(state, budget=replace(state.budget, memory_bytes=memory_bytes), room_bytes=None)
