"""Stores finished stages while the next ones run."""

from __future__ import annotations

import logging
import queue
import tarfile
import threading
from pathlib import Path

from insaat_cli.errors import StoreError
from insaat_cli.remote.checkpoints import save
from insaat_cli.remote.store import Store

log = logging.getLogger("insaat.worker")


class CheckpointThread:
    """One upload at a time. A checkpoint that fails only costs time later."""

    def __init__(self, store: Store, job: str, scratch: Path) -> None:
        self._store, self._job, self._scratch = store, job, scratch
        self._waiting: queue.SimpleQueue[tuple[str, Path] | None] = queue.SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def keep(self, stage: str, folder: Path) -> None:
        """Store `folder`, the published outputs of `stage`, as soon as possible."""
        self._waiting.put((stage, folder))

    def stop(self) -> None:
        """Forget what waits; what is under way may end or be cut off, both are harmless."""
        self._stopped = True
        self._waiting.put(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None and not self._stopped:
            stage, folder = item
            try:
                save(self._store, self._job, stage, folder, self._scratch)
            except (StoreError, OSError, tarfile.TarError, ValueError, KeyError) as error:
                log.warning("job %s: no checkpoint of %s: %s", self._job, stage, error)
