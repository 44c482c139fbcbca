"""`insaat worker` runs the jobs of a queue."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insaat_cli.cli.options import MemoryOption, ThreadsOption, TimeoutOption, given_path
from insaat_cli.cli.queue_options import (
    AllowOption,
    BrokerOption,
    EndpointOption,
    RemoteOption,
    TagsOption,
    all_tags,
    named_pipelines,
)
from insaat_cli.cli.session import output_for
from insaat_cli.errors import UsageError
from insaat_cli.planning.deadlines import Deadlines
from insaat_cli.remote.worker.options import (
    DEFAULT_LEASE_S,
    DEFAULT_POLL_S,
    DEFAULT_SWEEP_S,
    WorkerOptions,
)

if TYPE_CHECKING:
    from insaat_cli.remote.broker.broker import Broker
    from insaat_cli.remote.store.protocol import Store

MIN_LEASE_S = 1.0
StageTimeoutOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Stop a stage after this time; 0: never.",
        show_default="20 times the prediction, at least 4 hours",
    ),
]
JobTimeoutOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Stop a job after this time; 0: never.",
        show_default="20 times the prediction, at least 12 hours",
    ),
]
StageNetworkOption = Annotated[
    bool, typer.Option("--stage-network", help="Let stages open network connections.")
]
ConcurrencyOption = Annotated[
    str,
    typer.Option(
        metavar="N|auto", help="Number of jobs to run at once; auto: as many as fit in memory."
    ),
]
OnceOption = Annotated[bool, typer.Option("--once", help="Exit after at most one job.")]
IdleExitOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Exit after this many seconds without work."),
]
LeaseOption = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", help="Seconds without a heartbeat after which a job counts as lost."
    ),
]
PollOption = Annotated[
    float, typer.Option(metavar="SECONDS", help="Seconds between scans of the queue.")
]
SweepOption = Annotated[
    float, typer.Option(metavar="SECONDS", help="Like --poll, while a broker is connected.")
]
StopOption = Annotated[
    float, typer.Option(metavar="SECONDS", help="Seconds that stages get to end after SIGTERM.")
]
CheckpointOption = Annotated[
    float, typer.Option(metavar="SECONDS", help="Do not checkpoint stages shorter than this.")
]
WorkFolderOption = Annotated[
    Path | None,
    typer.Option(parser=given_path, metavar="DIR", help="Folder for temporary files."),
]
MetricsPortOption = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port for Prometheus metrics and health checks."),
]
QuietLogOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Log only warnings and errors.")
]
MetricsHostOption = Annotated[str, typer.Option(help="Address for --metrics-port to listen on.")]


def worker_command(
    context: typer.Context,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    broker: BrokerOption = None,
    concurrency: ConcurrencyOption = "1",
    tags: TagsOption = None,
    once: OnceOption = False,
    idle_exit: IdleExitOption = None,
    lease: LeaseOption = DEFAULT_LEASE_S,
    poll: PollOption = DEFAULT_POLL_S,
    stop: StopOption = 8.0,
    checkpoint_min: CheckpointOption = 2.0,
    stage_network: StageNetworkOption = False,
    silence_timeout: TimeoutOption = None,
    stage_timeout: StageTimeoutOption = None,
    job_timeout: JobTimeoutOption = None,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = None,
    work_folder: WorkFolderOption = None,
    sweep: SweepOption = DEFAULT_SWEEP_S,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = "127.0.0.1",
    allow_pipeline: AllowOption = None,
    quiet: QuietLogOption = False,
) -> None:
    """Run jobs from a queue until told to stop.

    SIGTERM and Ctrl-C return jobs to the queue at once; SIGUSR1 finishes them first.
    """
    from insaat_cli.remote.connections import open_broker, open_store
    from insaat_cli.remote.store.folder_store import LocalStore

    output_for(context)
    _log_to_stderr(quiet=quiet)
    _check_intervals(lease, poll, sweep)
    store = open_store({"remote": remote, "endpoint": endpoint})
    options = WorkerOptions(
        lease_s=lease,
        poll_s=poll,
        start_spread_s=0.0 if isinstance(store, LocalStore) else poll,
        sweep_s=sweep,
        concurrency=_concurrency(concurrency),
        max_memory=max_memory,
        threads=threads,
        tags=all_tags(tags),
        once=once,
        idle_exit_s=idle_exit,
        stop_s=stop,
        network=stage_network,
        deadlines=Deadlines(silence_s=silence_timeout, stage_s=stage_timeout),
        job_s=job_timeout,
        checkpoint_min_s=checkpoint_min,
        work_folder=work_folder,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
    )
    found = open_broker({"broker": broker})
    raise typer.Exit(_run(store, found, options, allow_pipeline))


def _run(
    store: Store, broker: Broker | None, options: WorkerOptions, allow_pipeline: list[Path] | None
) -> int:
    """Run a worker until it is told to stop; return the exit code.

    The worker is loaded here: neither its help nor its completion needs it."""
    from insaat_cli.remote.queue.job_spec import allowed_pipelines
    from insaat_cli.remote.worker.mail import MailServer
    from insaat_cli.remote.worker.notification import Notifier
    from insaat_cli.remote.worker.webhook import Webhook
    from insaat_cli.remote.worker.worker import Worker

    notifier = Notifier(
        store=store, mail=MailServer.from_environment(), webhook=Webhook.from_environment()
    )
    allowed = allowed_pipelines(named_pipelines(allow_pipeline))
    return int(Worker(store, options, allowed=allowed, notifier=notifier, broker=broker).run())


def _check_intervals(lease_s: float, poll_s: float, sweep_s: float) -> None:
    if lease_s < MIN_LEASE_S or poll_s <= 0 or sweep_s <= 0:
        raise UsageError(
            "--lease, --poll or --sweep is too short",
            hint=f"--lease takes {MIN_LEASE_S:g} s or more, --poll and --sweep more than 0",
        )


def _log_to_stderr(*, quiet: bool) -> None:
    level = logging.WARNING if quiet else logging.INFO
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(message)s"
    )
    for name in ("amqp", "boto3", "botocore", "kombu", "s3transfer", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _concurrency(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise UsageError(
            f"invalid --concurrency {text!r}", hint="use a number from 1 to 64, or auto"
        )
    return int(text)
