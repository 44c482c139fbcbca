"""How a worker works; apart from the worker, so that its command can show the defaults at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from insaat_cli.planning.deadlines import Deadlines
from insaat_cli.remote.worker.scratch import FLOOR_BYTES

DEFAULT_LEASE_S = 120.0
DEFAULT_POLL_S = 10.0
DEFAULT_SWEEP_S = 300.0
UNSAID = Deadlines()


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """How a worker works; all times in seconds."""

    lease_s: float = DEFAULT_LEASE_S
    poll_s: float = DEFAULT_POLL_S
    start_spread_s: float = 0.0
    """The first look comes at a moment drawn from so long: a fleet that is started at once, by a
    scaler or after a power cut, would race for the same few jobs."""
    sweep_s: float = DEFAULT_SWEEP_S
    """Between looks into the queue while a broker tells of every job."""
    concurrency: int | None = 1
    """None: as many as fit the memory budget by their forecasts."""
    max_memory: str | None = None
    threads: int | None = None
    tags: tuple[str, ...] = ()
    once: bool = False
    """End after one job, or at once if there is none."""
    idle_exit_s: float | None = None
    """End when there was nothing to do for so long."""
    stop_s: float = 8.0
    """How long stages may take to end on their own after SIGTERM."""
    deadlines: Deadlines = UNSAID
    job_s: float | None = None
    """How long one job may take; None: by the prediction, 0: for ever."""
    network: bool = False
    """Whether stages may reach beyond this machine."""
    checkpoint_min_s: float = 2.0
    work_folder: Path | None = None
    disk_floor_bytes: int = FLOOR_BYTES
    """Free space of its disk below which no job is taken."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
