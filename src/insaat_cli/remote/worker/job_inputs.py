"""What an attempt begins with: its spec and its photos, neither of which is believed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from insaat_cli.errors import PhotosError, StoreError, UsageError
from insaat_cli.remote.queue.job_spec import JobSpec, OutdatedError, check_spec, read_spec
from insaat_cli.remote.queue.job_state import JobState
from insaat_cli.remote.queue.keys import input_key, manifest_key
from insaat_cli.remote.store.parallel import Check
from insaat_cli.remote.store.protocol import DamagedError, NotThereError, Store, UncertainError
from insaat_cli.remote.store.transfer import download

log = logging.getLogger("insaat.worker")


def check_unused(store: Store, state: JobState) -> None:
    """An epoch is one attempt. If its manifest is there, somebody put back a state that had gone
    on, and this attempt would overwrite what was published: UsageError."""
    if store.size(manifest_key(state.job, state.epoch)) is not None:
        raise UsageError(
            f"attempt {state.epoch} of this job already published results: its state was replaced",
            hint="the results are still there: submit the photos again for others",
        )


def accepted_spec(store: Store, state: JobState, allowed: Mapping[str, str]) -> JobSpec:
    """Raises UsageError for a spec that no worker will ever accept, MachineError for one that
    others may."""
    try:
        spec = read_spec(store, state.job, state.spec_sha256)
    except (OutdatedError, UncertainError):
        raise
    except StoreError as error:
        raise UsageError(error.message, hint=error.hint) from error
    if spec is None:
        raise UsageError("the job's spec.json is missing")
    if spec.job != state.job:
        raise UsageError("the job's spec.json belongs to another job")
    check_spec(spec, allowed)
    return spec


def fetch_photos(store: Store, job: str, spec: JobSpec, folder: Path, *, check: Check) -> None:
    """Into `folder`. Raises PhotosError, for no attempt will find them, if some are missing or bad.

    What is proven to be bad is deleted from the store: nobody can use it, and whoever submitted it
    again would find it there and send nothing."""
    try:
        download(store, lambda entry: input_key(entry.sha256), spec.photos, folder, check=check)
    except DamagedError as error:
        for key in error.keys:
            try:
                store.delete(key)
                log.warning("job %s: deleted %s: damaged", job, key)
            except StoreError as fault:
                log.warning("job %s: cannot delete %s: %s", job, key, fault.message)
        raise PhotosError(error.message, hint="submit the photos again") from error
    except NotThereError as error:
        raise PhotosError(error.message, hint="submit the photos again") from error
