"""The link to what a finished job published."""

from __future__ import annotations

import hashlib

from insaat_cli.remote.queue.job_state import JobState, Status
from insaat_cli.remote.queue.keys import manifest_key, result_key
from insaat_cli.remote.store.manifest import Manifest
from insaat_cli.remote.store.protocol import Link, Store

VIEWER_NAME = "view.html"


def share_link(store: Store, state: JobState, *, seconds: int) -> Link | None:
    """A presigned link to the published viewer page; None without one."""
    if state.status is not Status.SUCCEEDED or state.result is None:
        return None
    job, epoch = state.job, state.result.epoch
    blob = store.get(manifest_key(job, epoch))
    if blob is None or hashlib.sha256(blob.body).hexdigest() != state.result.manifest_sha256:
        return None
    hashes = {entry.path: entry.sha256 for entry in Manifest.from_bytes(blob.body).files}
    for name in (VIEWER_NAME, "report.html", "model.glb"):
        if name in hashes:
            return store.link(result_key(job, epoch, hashes[name]), seconds=seconds, filename=name)
    return None
