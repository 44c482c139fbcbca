"""This module holds the options and objects that the queue commands share."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insaat_cli.cli.options import given_path, listed
from insaat_cli.errors import UsageError
from insaat_cli.formatting import printable

if TYPE_CHECKING:
    from insaat_cli.remote.client.client import Client

RemoteOption = Annotated[
    str | None,
    typer.Option(
        "--remote",
        metavar="URL|DIR",
        help="Queue to use: s3://BUCKET/PREFIX or a folder. Default: INSAAT_REMOTE, then insaat "
        "config, then a local folder.",
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="URL", help="S3-compatible server other than AWS."),
]
BrokerOption = Annotated[
    str | None,
    typer.Option(
        "--broker",
        metavar="URL",
        help="amqp://…, redis://… or sqs://…: broker that tells workers of new jobs, and others of "
        "results. If the address holds a password, use INSAAT_BROKER or insaat config instead.",
    ),
]
JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="Job ID, as printed by insaat submit.")
]
TagsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        "--tags",
        metavar="LIST",
        help="Only a worker with all tags of a job takes it: a,b; repeatable.",
    ),
]
AllowOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow-pipeline",
        parser=given_path,
        metavar="FILE",
        help="Pipeline file that jobs may use; repeatable.",
    ),
]


def client_of(remote: str | None, endpoint: str | None, broker: str | None = None) -> Client:
    """Return a client of the store and broker that options, environment and config name."""
    from insaat_cli.remote.client.client import Client
    from insaat_cli.remote.connections import open_broker, open_store
    from insaat_cli.remote.queue.queue import Queue

    store = open_store({"remote": remote, "endpoint": endpoint})
    announcer = open_broker({"broker": broker})
    return Client(store, Queue(store, clock=time.monotonic), announcer)


def all_tags(lists: list[str] | None) -> tuple[str, ...]:
    """The tags of all options that were given, each once."""
    return tuple(dict.fromkeys(tag for text in lists or () for tag in listed(text)))


def named_pipelines(files: list[Path] | None) -> dict[str, str]:
    """Return the paths of pipeline files by the pipeline name that each declares."""
    from insaat_cli.pipeline.loader import find_pipeline

    named: dict[str, str] = {}
    for file in files or []:
        if file.suffix not in {".yaml", ".yml"}:
            raise UsageError(
                f"{printable(str(file))} is not a pipeline file", hint="use a .yaml file"
            )
        named[find_pipeline(str(file)).name] = str(file.absolute())
    return named
