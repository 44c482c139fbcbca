"""What a job leaves behind once it needs it no longer. Best effort, and safe to repeat.

Everything lies under the epoch or the random name of whoever wrote it, so nothing that a later
attempt writes can be hit. Logs stay, for `insaat logs --attempt`, until the job itself goes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from insaat_cli.remote.queue.job_state import JobState
from insaat_cli.remote.queue.keys import (
    QUEUED,
    RUNNING,
    attempt_prefix,
    attempts_prefix,
    checkpoint_prefix,
    job_prefix,
    parse_marker,
    state_key,
)
from insaat_cli.remote.store.protocol import Store

REMOVERS = 16
LOG_NAME = "/log.txt"
MANIFEST_NAME = "manifest.json"


def forget_attempts(store: Store, state: JobState) -> None:
    """Outputs of attempts that `state`, which has ended, did not publish. May raise StoreError.

    Without a result, an attempt with a manifest stays, too: a state that was put back from before
    the publication must not cost what was published."""
    entries = list(store.list(attempts_prefix(state.job)))
    if state.result:
        kept = {attempt_prefix(state.job, state.result.epoch)}
    else:
        ends = MANIFEST_NAME
        kept = {entry.key.removesuffix(ends) for entry in entries if entry.key.endswith(ends)}
    for entry in entries:
        is_kept = any(entry.key.startswith(prefix) for prefix in kept)
        if not is_kept and not entry.key.endswith(LOG_NAME):
            store.delete(entry.key)
    store.clear_unfinished(attempts_prefix(state.job))


def forget_checkpoints(store: Store, job: str) -> None:
    """Finished stages of a job that is published. May raise StoreError."""
    for entry in list(store.list(checkpoint_prefix(job))):
        store.delete(entry.key)
    store.clear_unfinished(checkpoint_prefix(job))


def remove_objects(store: Store, job: str) -> int:
    """Delete a job that is marked as being removed; the number of objects. May raise StoreError.

    The state goes last, so that a removal that was cut off can be repeated. Photos stay: other jobs
    may use them."""
    keys = [entry.key for entry in store.list(job_prefix(job))]
    keys += [
        entry.key
        for prefix in (QUEUED, RUNNING)
        for entry in store.list(prefix)
        if (marker := parse_marker(entry.key)) and marker.job == job
    ]
    last = state_key(job)
    with ThreadPoolExecutor(REMOVERS) as pool:
        list(pool.map(store.delete, [key for key in keys if key != last]))
    store.delete(last)
    store.clear_unfinished(job_prefix(job))
    return len(keys)
