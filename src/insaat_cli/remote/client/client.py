"""The client does what a user does with jobs after submitting: status, fetch, cancel, retry …"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import JobStateError, NoJobError, UsageError
from insaat_cli.photos.photo_set import LeftOut
from insaat_cli.reconstruction.shortfall import Shortfall, shortfall_of_record
from insaat_cli.remote.broker.broker import Broker
from insaat_cli.remote.broker.messages import JobEvent
from insaat_cli.remote.queue.attempts import Attempt, read_attempts
from insaat_cli.remote.queue.cleanup import remove_objects
from insaat_cli.remote.queue.job_spec import JobSpec, read_spec
from insaat_cli.remote.queue.job_state import (
    JobState,
    NewerStateError,
    Status,
    UnreadableStateError,
    check_id,
)
from insaat_cli.remote.queue.keys import (
    JOBS,
    log_key,
    manifest_key,
    result_key,
)
from insaat_cli.remote.queue.published_result import share_link
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.queue.refusals import Refusal, read_refusals
from insaat_cli.remote.queue.state_writes import Held, read
from insaat_cli.remote.store.manifest import FileEntry, Manifest
from insaat_cli.remote.store.protocol import CorruptError, Link, NotThereError, Progress, Store
from insaat_cli.remote.store.transfer import download, is_there
from insaat_cli.workspace.ownership import FETCH, claim_folder
from insaat_cli.workspace.workspace import RECORD_NAME, explain_disk

READERS = 16
SHARE_SECONDS = 24 * 3600
MAX_SHARE_SECONDS = 7 * 24 * 3600
"""S3 allows no longer."""


@dataclass(frozen=True)
class Fetched:
    """The files that `fetch` downloaded, and their folder."""

    folder: Path
    files: tuple[FileEntry, ...]


@dataclass(frozen=True)
class Survey:
    """What a queue holds, newest first; `unreadable`: why, by job."""

    states: list[JobState]
    unreadable: dict[str, str]


class Client:
    """The jobs of one store, as their user sees them."""

    def __init__(self, store: Store, queue: Queue, broker: Broker | None = None) -> None:
        self.store = store
        self.queue = queue
        self.broker = broker

    def ring(self, job: str) -> None:
        """Tell the workers that `job` is in the queue, where there is a broker."""
        self._announce(JobEvent(job=job, state=Status.QUEUED))

    def _announce(self, event: JobEvent) -> None:
        if self.broker:
            self.broker.announce(event)

    def jobs(self) -> list[JobState]:
        """All jobs, newest first; submissions that were never completed are not jobs."""
        return self.survey().states

    def survey(self) -> Survey:
        """All jobs, newest first, and what stands in place of others and cannot be read."""
        names = sorted((name for name in self.store.folders(JOBS) if _is_id(name)), reverse=True)

        def look(name: str) -> Held | UnreadableStateError | None:
            try:
                return read(self.store, name)
            except UnreadableStateError as error:
                return error

        with ThreadPoolExecutor(READERS) as pool:
            found = dict(zip(names, pool.map(look, names), strict=True))
        return Survey(
            states=[one.state for one in found.values() if isinstance(one, Held)],
            unreadable={
                name: one.message
                for name, one in found.items()
                if isinstance(one, UnreadableStateError)
            },
        )

    def status(self, job: str) -> JobState:
        return self.queue.read(job).state

    def refusals(self, state: JobState) -> list[Refusal]:
        """Why a waiting job still waits: machines that cannot run it."""
        return read_refusals(self.store, state) if state.status is Status.QUEUED else []

    def history(self, job: str) -> list[Attempt]:
        """What became of each attempt, as far as somebody wrote it down."""
        return read_attempts(self.store, self.status(job).job)

    def spec(self, job: str) -> JobSpec:
        spec = read_spec(self.store, check_id(job), self.status(job).spec_sha256)
        if spec is None:
            raise NotThereError(f"the spec of job {job} is missing from the store")
        return spec

    def follow(
        self, job: str, *, every_s: float, wait: Callable[[float], object]
    ) -> Iterator[JobState]:
        """The job's state whenever it changed, up to and including its end."""
        seen = -1
        while True:
            state = self.status(job)
            if state.revision != seen:
                seen = state.revision
                yield state
            if state.status.ended:
                return
            wait(every_s)

    def manifest(self, job: str) -> Manifest:
        """Return the manifest of the published result, checked against the job's state."""
        state = self.status(job)
        if state.status is not Status.SUCCEEDED or state.result is None:
            yet = "" if state.status.ended else " yet"
            why = f": {state.problem.message}" if state.problem else ""
            raise JobStateError(
                f"job {job} has no result{yet}: it is {state.status.value}{why}",
                hint=f"see its log: insaat logs {job}"
                if state.status.ended
                else f"wait for it: insaat status {job} --follow",
            )
        blob = self.store.get(manifest_key(job, state.result.epoch))
        if blob is None:
            raise NotThereError(f"the manifest of job {job} is missing from the store")
        if hashlib.sha256(blob.body).hexdigest() != state.result.manifest_sha256:
            raise CorruptError(f"the manifest of job {job} is damaged or was tampered with")
        manifest = Manifest.from_bytes(blob.body)
        if (manifest.job, manifest.epoch) != (job, state.result.epoch):
            raise CorruptError(f"the manifest of job {job} belongs to another attempt")
        if manifest.spec_sha256 and state.spec_sha256 not in {"", manifest.spec_sha256}:
            raise CorruptError(f"the result of job {job} was made from another spec.json")
        return manifest

    def shortfall(self, job: str, left_out: Iterable[LeftOut] = ()) -> Shortfall:
        """Return what the result lacks by its run.json; `left_out` were never submitted."""
        manifest = self.manifest(job)
        found = [entry for entry in manifest.files if entry.path == RECORD_NAME]
        blob = self.store.get(result_key(job, manifest.epoch, found[0].sha256)) if found else None
        if blob is None:
            raise NotThereError(f"the {RECORD_NAME} of job {job} is missing from the store")
        if hashlib.sha256(blob.body).hexdigest() != found[0].sha256:
            raise CorruptError(f"the {RECORD_NAME} of job {job} is damaged or was tampered with")
        try:
            return shortfall_of_record(json.loads(blob.body), left_out)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptError(f"the {RECORD_NAME} of job {job} cannot be read") from error

    def fetch(
        self,
        job: str,
        folder: Path,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Fetched:
        """Download the result into `folder`; files that are there already are not fetched again.

        UsageError where other files have the names of the result's, unless they may be replaced.
        """
        manifest = self.manifest(job)
        with explain_disk(folder):
            names = [entry.path for entry in manifest.files if not is_there(entry, folder)]
            claim_folder(folder, FETCH.format(job=job), names, overwrite=overwrite)
            download(
                self.store,
                lambda entry: result_key(job, manifest.epoch, entry.sha256),
                manifest.files,
                folder,
                progress=progress,
            )
        return Fetched(folder, manifest.files)

    def cancel(self, job: str) -> JobState:
        state = self.queue.cancel(job)
        if state.status.ended:  # else its worker says so, once it has stopped
            self._announce(JobEvent.of(state))
        return state

    def retry(self, job: str) -> JobState:
        state = self.queue.retry(job)
        self._announce(JobEvent.of(state))
        return state

    def logs(self, job: str, epoch: int | None = None) -> str:
        """The log of an attempt; by default the last that stored one."""
        state = self.status(job)
        epochs = [epoch] if epoch is not None else range(state.epoch, 0, -1)
        for number in epochs:
            blob = self.store.get(log_key(job, number))
            if blob is not None:
                return blob.body.decode("utf-8", "replace")
        which = f"attempt {epoch} of job {job}" if epoch is not None else f"job {job}"
        raise JobStateError(f"{which} has no log", hint="a log is stored when an attempt ends")

    def share(self, job: str, *, seconds: int = SHARE_SECONDS) -> Link:
        """Create a link to the viewer page that anybody can open until it expires."""
        if not 60 <= seconds <= MAX_SHARE_SECONDS:
            raise UsageError("a link must last between one minute and seven days")
        self.manifest(job)
        link = share_link(self.store, self.status(job), seconds=seconds)
        if link is None:
            raise UsageError(
                f"{self.store.describe()} cannot create links",
                hint=f"download it with insaat fetch {job} and send view.html",
            )
        return link

    def remove(self, job: str) -> int:
        """Delete an ended job with all that belongs to it; the number of objects deleted.

        The state goes last, so that a removal that was cut off can be repeated. Photos stay: other
        jobs may use them."""
        try:
            self.queue.mark_removing(job)
        except NewerStateError:
            raise
        except UnreadableStateError:
            pass  # nobody can run it, and this is the way to be rid of it
        return remove_objects(self.store, check_id(job))


def _is_id(name: str) -> bool:
    try:
        check_id(name)
    except NoJobError:
        return False
    return True
