"""Options and objects that the queue's commands share."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.options import given_path
from insaat_cli.errors import UsageError
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.remote.client.client import Client
from insaat_cli.remote.connections import open_bell, open_store
from insaat_cli.remote.queue.queue import Queue

RemoteOption = Annotated[
    str | None,
    typer.Option(
        "--remote",
        metavar="s3://BUCKET/PREFIX|DIR",
        help="The queue. Default: INSAAT_REMOTE, insaat config, or a folder of yours.",
    ),
]
EndpointOption = Annotated[
    str | None, typer.Option("--endpoint", metavar="URL", help="An S3 server that is not AWS.")
]
BellOption = Annotated[
    str | None,
    typer.Option("--queue-url", metavar="URL", help="An SQS queue that rings when a job comes."),
]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="As printed by insaat submit.")]
AllowOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow-pipeline",
        parser=given_path,
        metavar="FILE",
        help="A pipeline of your own that jobs may name.",
    ),
]


def client_of(remote: str | None, endpoint: str | None, queue_url: str | None = None) -> Client:
    """The client of the store and doorbell that options, environment and configuration name."""
    store = open_store({"remote": remote, "endpoint": endpoint})
    bell = open_bell({"queue_url": queue_url})
    return Client(store, Queue(store, clock=time.monotonic), bell)


def named_pipelines(files: list[Path] | None) -> dict[str, str]:
    """Pipeline files by the name inside them."""
    named: dict[str, str] = {}
    for file in files or []:
        if file.suffix not in {".yaml", ".yml"}:
            raise UsageError(f"{file} is not a pipeline file")
        named[find_pipeline(str(file)).name] = str(file.absolute())
    return named
