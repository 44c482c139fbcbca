"""`insaat worker`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.options import MemoryOption, ThreadsOption, given_path
from insaat_cli.cli.queue_options import (
    AllowOption,
    BellOption,
    EndpointOption,
    RemoteOption,
    named_pipelines,
)
from insaat_cli.cli.session import output_for
from insaat_cli.errors import UsageError
from insaat_cli.remote.connections import (
    open_bell,
    open_store,
)
from insaat_cli.remote.queue.job_spec import allowed_pipelines
from insaat_cli.remote.worker.mail import MailServer
from insaat_cli.remote.worker.notification import Notifier
from insaat_cli.remote.worker.webhook import Webhook
from insaat_cli.remote.worker.worker import (
    DEFAULT_LEASE_S,
    DEFAULT_POLL_S,
    DEFAULT_SWEEP_S,
    Worker,
    WorkerOptions,
)

SHORTEST_LEASE_S = 1.0


def worker_command(
    context: typer.Context,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    queue_url: BellOption = None,
    concurrency: Annotated[
        str, typer.Option(metavar="N|auto", help="Jobs at once; auto: what memory allows.")
    ] = "1",
    tags: Annotated[str, typer.Option(metavar="LIST", help="Also take jobs with these tags.")] = "",
    once: Annotated[bool, typer.Option("--once", help="End after one job, or none.")] = False,
    idle_exit: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End after so long without work.")
    ] = None,
    lease: Annotated[
        float, typer.Option(metavar="SECONDS", help="Silence after which a job is lost.")
    ] = DEFAULT_LEASE_S,
    poll: Annotated[
        float, typer.Option(metavar="SECONDS", help="Between looks into the queue.")
    ] = DEFAULT_POLL_S,
    stop: Annotated[
        float, typer.Option(metavar="SECONDS", help="For stages to end after SIGTERM.")
    ] = 8.0,
    checkpoint_min: Annotated[
        float, typer.Option(metavar="SECONDS", help="Shorter stages are not stored.")
    ] = 2.0,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = None,
    work_folder: Annotated[
        Path | None, typer.Option(parser=given_path, metavar="DIR", help="For scratch.")
    ] = None,
    sweep: Annotated[
        float, typer.Option(metavar="SECONDS", help="Between such looks, with --queue-url.")
    ] = DEFAULT_SWEEP_S,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Prometheus metrics and health.")
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    allow_pipeline: AllowOption = None,
) -> None:
    """Take jobs from a queue and run them, until told to stop.

    SIGTERM and Ctrl-C give jobs back at once, SIGUSR1 finishes them first.
    """
    output_for(context)
    _log_to_stderr()
    if lease < SHORTEST_LEASE_S or poll <= 0 or sweep <= 0:
        raise UsageError("the lease or the poll interval is too short")
    store = open_store({"remote": remote, "endpoint": endpoint})
    extra = named_pipelines(allow_pipeline)
    options = WorkerOptions(
        lease_s=lease,
        poll_s=poll,
        sweep_s=sweep,
        concurrency=_concurrency(concurrency),
        max_memory=max_memory,
        threads=threads,
        tags=tuple(name.strip() for name in tags.split(",") if name.strip()),
        once=once,
        idle_exit_s=idle_exit,
        stop_s=stop,
        checkpoint_min_s=checkpoint_min,
        work_folder=work_folder,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
    )
    notifier = Notifier(
        store=store, mail=MailServer.from_environment(), webhook=Webhook.from_environment()
    )
    worker = Worker(
        store,
        options,
        allowed=allowed_pipelines(extra),
        notifier=notifier,
        bell=open_bell({"queue_url": queue_url}),
    )
    raise typer.Exit(int(worker.run()))


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    for name in ("botocore", "boto3", "urllib3", "s3transfer"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _concurrency(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise UsageError(f"--concurrency is {text!r}", hint="write a number from 1 to 64, or auto")
    return int(text)


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command("worker")(worker_command)
