"""What all attempts of one worker share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from insaat_cli.planning.deadlines import Deadlines
from insaat_cli.remote.store.protocol import Store
from insaat_cli.remote.worker.metrics import Metrics
from insaat_cli.remote.worker.waking import StopFlag


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What all attempts of a worker share."""

    store: Store
    machine: str
    """The name of this machine, which is that of a key."""
    allowed: Mapping[str, str]
    metrics: Metrics
    stop_now: StopFlag
    """Set when the worker must give its jobs back."""
    child_deadline_s: float
    deadlines: Deadlines
    job_s: float | None
    """How long one job may take, see `job_limit`."""
    network: bool
    """Whether stages may reach beyond this machine."""
    checkpoint_min_s: float
    """Stages that took less are done again rather than stored."""
