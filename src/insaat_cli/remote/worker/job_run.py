"""One attempt at one job: fetch, resume, reconstruct, keep checkpoints, upload, publish.

An attempt runs in a thread of the worker. The reconstruction itself is a process (see
`reconstruct_job`), stopped with all that it started as soon as the lease says so.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from insaat_cli.errors import (
    ExitCode,
    Fault,
    InsaatError,
    MemoryLimitError,
    StageError,
    StoreError,
    TimedOutError,
)
from insaat_cli.formatting import duration
from insaat_cli.planning.deadlines import job_limit
from insaat_cli.remote.queue.attempts import Attempt, write_attempt
from insaat_cli.remote.queue.cleanup import forget_attempts, forget_checkpoints
from insaat_cli.remote.queue.job_spec import JobSpec
from insaat_cli.remote.queue.job_state import JobState, Problem, Progress, RefusedError, Status
from insaat_cli.remote.queue.keys import (
    log_key,
    manifest_key,
    result_key,
)
from insaat_cli.remote.queue.lease import Lease, LetGo
from insaat_cli.remote.queue.refusals import nobody_can, refuse
from insaat_cli.remote.queue.state_writes import now_text
from insaat_cli.remote.store.manifest import Manifest, describe
from insaat_cli.remote.store.transfer import Move, upload
from insaat_cli.remote.worker import checkpoints
from insaat_cli.remote.worker.admission import Grant
from insaat_cli.remote.worker.blame import Blame, Trouble
from insaat_cli.remote.worker.checkpoints import CheckpointThread
from insaat_cli.remote.worker.job_end import End
from insaat_cli.remote.worker.job_inputs import accepted_spec, check_unused, fetch_photos
from insaat_cli.remote.worker.job_log import collect_logs, last_line
from insaat_cli.remote.worker.published_files import published_files
from insaat_cli.remote.worker.reconstruct_job import ExecuteRequest
from insaat_cli.remote.worker.run_context import RunContext
from insaat_cli.remote.worker.standing_still import standing_still
from insaat_cli.runner.attempt import DISK_FULL_BYTES
from insaat_cli.runner.process import ChildProcess, ChildSpec
from insaat_cli.workspace.workspace import Workspace, disk_full

LISTEN_S = 0.1
KILLED = 137
log = logging.getLogger("insaat.worker")


class EndedBadlyError(Exception):
    """The reconstruction ended otherwise than well."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.problem.message)
        self.trouble = trouble


class LetGoError(Exception):
    """Stop working on this job now."""

    def __init__(self, end: End) -> None:
        super().__init__(end)
        self.end = end


class JobRun:
    """`run` never raises for what can happen to a job; it returns how it ended."""

    def __init__(self, context: RunContext, lease: Lease, grant: Grant, folder: Path) -> None:
        self.context, self.lease, self.grant = context, lease, grant
        self.store = context.store
        self.folder = folder
        self.output = folder / "output"
        self.scratch = folder / "scratch"
        self.spec: JobSpec | None = None
        self.began_at = now_text()
        self.stage = ""
        self.share = 0.0
        self.seconds_left: float | None = None
        self.foreseen_s = 0.0
        """Of the whole reconstruction, when it began."""
        self.trouble: Trouble | None = None
        """Why the attempt ended badly."""
        self.final: JobState | None = None
        """The state after the attempt, where this worker knows it."""

    def run(self) -> End:
        self.lease.start()
        keeper = CheckpointThread(self.store, self.lease.job, self.lease.epoch, self.scratch)
        try:
            end = self._attempt(keeper)
        except LetGoError as error:
            end = self._give_back(error.end)
        except RefusedError:
            end = End.CANCELLED if self.lease.let_go() is LetGo.CANCELLED else End.LOST
        except StoreError as error:
            log.warning("job %s: %s", self.lease.job, error.message)
            end = End.LOST
        except Exception as error:
            log.exception("job %s: unexpected error", self.lease.job)
            end = self._return_after_bug(error)
        finally:
            self.lease.stop()
            keeper.stop()
            self._clean_up(keeper)
            shutil.rmtree(self.folder, ignore_errors=True)
        self._note(end)
        return end

    def _note(self, end: End) -> None:
        """For the history, which nothing depends on. Of a loss it is the observer who knows."""
        if end is End.LOST:
            return
        attempt = Attempt(
            epoch=self.lease.epoch,
            owner=self.lease.owner,
            machine=self.context.machine,
            began_at=self.began_at,
            ended_at=now_text(),
            end=end.value,
            stage=self.stage,
            problem=self.trouble.problem if self.trouble else None,
        )
        with suppress(StoreError):
            write_attempt(self.store, self.lease.job, attempt)

    def _attempt(self, keeper: CheckpointThread) -> End:
        try:
            spec = self._prepare()
            self._reconstruct(spec, keeper)
            keeper.stop()  # what is still being stored will be of no use once this is published
            self._check()
            manifest_sha256 = self._upload_results()
        except (InsaatError, OSError) as error:
            self._check()
            return self._failed(Trouble.of(error, self.folder))
        except EndedBadlyError as error:
            self._check()
            return self._failed(error.trouble)
        try:
            self.final = self.lease.succeed(manifest_sha256).state
        except RefusedError:
            if self.lease.let_go() is LetGo.LOST:
                raise
            raise LetGoError(End.CANCELLED) from None
        return End.SUCCEEDED

    def _prepare(self) -> JobSpec:
        self._report_stage("fetching photos")
        for folder in (self.scratch, self.output / "stages", self.folder / "photos"):
            folder.mkdir(parents=True)
        state = self.lease.state
        check_unused(self.store, state)
        spec = self.spec = accepted_spec(self.store, state, self.context.allowed)
        fetch_photos(self.store, state.job, spec, self.folder / "photos", check=self._check)
        self._report_stage("fetching checkpoints")
        restored = checkpoints.restore(
            self.store, self.lease.job, self.output / "stages", self.scratch, check=self._check
        )
        Workspace(self.output).adopt(restored)
        return spec

    def _reconstruct(self, spec: JobSpec, keeper: CheckpointThread) -> None:
        request = ExecuteRequest(
            photos=self.folder / "photos",
            output=self.output,
            pipeline=self.context.allowed[spec.pipeline],
            preset=spec.preset,
            settings=spec.settings,
            formats=spec.formats,
            memory_bytes=self.grant.memory_bytes,
            threads=self.grant.threads,
            silence_s=self.context.deadlines.silence_s,
            stage_s=self.context.deadlines.stage_s,
        )
        path = self.folder / "request.json"
        request.write(path)
        self._check()  # who was stopped for long while it fetched has lost the job
        child = ChildProcess(
            ChildSpec(
                # -P: what lies in the working directory must never be imported.
                arguments=(
                    sys.executable,
                    "-P",
                    "-m",
                    "insaat_cli.remote.worker.reconstruct_job",
                    str(path),
                ),
                folder=self.folder,
                log=self.folder / "execute.log",
                threads=self.grant.threads,
                network=self.context.network,
            )
        )
        try:
            code = self._listen(child, keeper)
        finally:
            if child.exit_code() is None:
                child.stop(self.context.child_deadline_s)
            child.close()
        if code != 0:
            raise EndedBadlyError(self.trouble or self._unexplained_end(code))

    def _listen(self, child: ChildProcess, keeper: CheckpointThread) -> int:
        """Follow the child to its end, unless we must stop it."""
        while True:
            code = child.exit_code()
            for event in child.events():
                self._take(event, keeper)
            if code is not None:
                return code
            self._check()
            self._check_time(time.monotonic() - child.started)
            time.sleep(LISTEN_S)

    def _check_time(self, worked_s: float) -> None:
        if worked_s > job_limit(self.context.job_s, self.foreseen_s):
            error = TimedOutError(
                f"timed out: the job was not done after {duration(worked_s)}",
                hint=f"see its log: insaat logs {self.lease.job}",
                stage=self.stage,
            )
            raise EndedBadlyError(Trouble.of(error, self.folder))

    def _take(self, event: Mapping[str, Any], keeper: CheckpointThread) -> None:
        kind = event["event"]
        if kind == "stage_started":
            self.stage = str(event["stage"])
        elif kind == "run_progress":
            self.share, self.seconds_left = float(event["share"]), float(event["seconds_left"])
            self.foreseen_s = self.foreseen_s or self.seconds_left
        elif kind == "stage_finished":
            self.context.metrics.add("stage_seconds_total", float(event["seconds"]))
            self.context.metrics.raise_to("peak_memory_bytes", float(event["peak_bytes"]))
            if float(event["seconds"]) >= self.context.checkpoint_min_s:
                keeper.keep(str(event["stage"]), self.output / "stages" / str(event["stage"]))
        elif kind == "attempt_failed":
            problem = Problem(
                fault=Fault(event["fault"]),
                message=str(event["message"])[:2000],
                hint=str(event["hint"])[:2000],
                stage=str(event["stage"])[:100],
            )
            self.trouble = Trouble(problem=problem, blame=Blame(event["blame"]))
        self.lease.report(
            Progress(
                stage=self.stage,
                share=round(self.share, 4),
                seconds_left=self.seconds_left,
                line=last_line(self.output / "logs" / f"{self.stage}.log"),
            )
        )

    def _unexplained_end(self, code: int) -> Trouble:
        """Return the trouble of a reconstruction process that ended without an error event."""
        if shutil.disk_usage(self.folder).free < DISK_FULL_BYTES:
            return Trouble.of(disk_full(self.folder), self.folder)
        out_of_memory = code in (int(ExitCode.MEMORY), KILLED)
        error = (MemoryLimitError if out_of_memory else StageError)(
            f"the reconstruction exited with status {code}",
            hint=f"see its log: insaat logs {self.lease.job}",
            stage=self.stage,
        )
        return Trouble.of(error, self.folder)

    def _upload_results(self) -> str:
        """Everything of this attempt, under its own epoch; the manifest last."""
        self._report_stage("uploading results")
        job, epoch = self.lease.job, self.lease.epoch
        entries = describe(self.output, published_files(self.output))
        moves = [
            Move(result_key(job, epoch, entry.sha256), self.output / entry.path, entry)
            for entry in entries
        ]
        upload(self.store, moves, check=self._check)
        self._put_logs()
        manifest = Manifest(
            job=job,
            epoch=epoch,
            files=entries,
            spec_sha256=self.lease.state.spec_sha256,
            photos=self.spec.photos if self.spec else (),
        )
        self.store.put(manifest_key(job, epoch), manifest.to_bytes())
        return manifest.sha256()

    def _failed(self, trouble: Trouble) -> End:
        self.trouble = trouble
        self._put_logs()
        if trouble.blame is not Blame.JOB:
            return self._return(trouble.problem)
        log.info("job %s: failed: %s", self.lease.job, trouble.problem.message)
        self.final = self.lease.fail(trouble.problem).state
        return End.FAILED

    def _return(self, problem: Problem) -> End:
        """Give the job back uncounted; or end it, if so many machines could not run it."""
        state = self.lease.state
        log.warning(
            "job %s: returned to the queue, not counted as an attempt: %s",
            state.job,
            problem.message,
        )
        hopeless = None
        try:
            refusals = refuse(
                self.store,
                state,
                problem,
                machine=self.context.machine,
                begun=True,
                granted_bytes=self.grant.memory_bytes,
            )
            hopeless = nobody_can(state.job, refusals)
        except StoreError as error:  # only the count is lost
            log.warning("job %s: %s", state.job, error.message)
        if hopeless is None:
            self.final = self.lease.release().state
            return End.RETURNED
        self.final = self.lease.give_up(hopeless).state
        return End.FAILED

    def _return_after_bug(self, error: Exception) -> End:
        """A fault of ours, or of this installation: another machine may do without it."""
        problem = Problem(
            fault=Fault.MISSING,
            message=f"unexpected error in the worker: {type(error).__name__}: {error}",
            hint="see the worker's log",
        )
        self.trouble = Trouble(problem=problem, blame=Blame.MACHINE)
        try:
            return self._return(problem)
        except (RefusedError, StoreError):
            return End.LOST

    def _give_back(self, end: End) -> End:
        if end is End.LOST:
            return end
        try:
            self._put_logs()
            problem = standing_still(self.store, self.lease.state)
            if end is End.RELEASED and problem is not None:
                self.final = self.lease.give_up(problem).state
                return End.FAILED
            self.final = self.lease.release().state
        except (RefusedError, StoreError):
            return End.LOST
        return end

    def _put_logs(self) -> None:
        """Best effort: a log that cannot be stored changes nothing."""
        try:
            text = collect_logs(self.folder / "execute.log", self.output / "logs")
            self.store.put(log_key(self.lease.job, self.lease.epoch), text)
        except (StoreError, OSError) as error:
            log.warning("job %s: cannot store its log: %s", self.lease.job, error)

    def _clean_up(self, keeper: CheckpointThread) -> None:
        """Of an ended job nothing stays but its result and its logs; best effort."""
        if self.final is None or not self.final.status.ended:
            return
        try:
            if self.final.status is Status.SUCCEEDED:
                keeper.join()
                forget_checkpoints(self.store, self.final.job)
            forget_attempts(self.store, self.final)
        except StoreError as error:
            log.info("job %s: cleanup failed: %s", self.final.job, error.message)

    def _report_stage(self, stage: str) -> None:
        self.stage = stage
        self.lease.report(Progress(stage=stage, share=self.share))

    def _check(self) -> None:
        """Raise LetGoError if the job is not ours any more, or should not be."""
        why = self.lease.let_go()
        if why is LetGo.LOST:
            raise LetGoError(End.LOST)
        if why is LetGo.CANCELLED:
            raise LetGoError(End.CANCELLED)
        if self.context.stop_now.is_set():
            raise LetGoError(End.RELEASED)
