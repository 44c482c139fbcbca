"""The commands on queued jobs: jobs, status, fetch, cancel, retry, logs, share, rm."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.options import (
    JsonOption,
    OverwriteOption,
    QuietOption,
    given_path,
)
from insaat_cli.cli.queue_options import (
    BellOption,
    EndpointOption,
    JobArgument,
    RemoteOption,
    client_of,
)
from insaat_cli.cli.session import output_for
from insaat_cli.cli.submit import _follow
from insaat_cli.display.job_text import (
    TransferMeter,
    job_line,
    refusal_line,
    state_fields,
    status_lines,
)
from insaat_cli.formatting import size
from insaat_cli.remote.queue.job_state import Status


def jobs_command(
    context: typer.Context,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    status: Annotated[Status | None, typer.Option(help="Only jobs in this state.")] = None,
    json: JsonOption = False,
) -> None:
    """List the jobs of a queue, newest first."""
    out = output_for(context, json=json)
    client = client_of(remote, endpoint)
    states = [state for state in client.jobs() if status in {None, state.status}]
    for state in states:
        out.json(state_fields(state))
        out.line(job_line(state))
    if not states:
        out.line(f"no jobs in {client.store.describe()}")


def status_command(
    context: typer.Context,
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until it ends.")] = False,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """Where a job stands."""
    out = output_for(context, json=json)
    client = client_of(remote, endpoint)
    if follow:
        _follow(client, job, out, only_tell=True)
        return
    state = client.status(job)
    refusals = client.refusals(state)
    out.json({**state_fields(state), "refusals": [dataclasses.asdict(one) for one in refusals]})
    for line in [*status_lines(state), *map(refusal_line, refusals)]:
        out.line(line)


def fetch_command(
    context: typer.Context,
    job: JobArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", parser=given_path, metavar="DIR", help="Default: ./JOB."),
    ] = None,
    overwrite: OverwriteOption = False,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring a job's result here; the same command again goes on where it was cut off."""
    out = output_for(context, json=json, quiet=quiet)
    client = client_of(remote, endpoint)
    meter = TransferMeter("fetched", out.line)
    meter.start(sum(entry.size for entry in client.manifest(job).files))
    fetched = client.fetch(job, output or Path(job), overwrite=overwrite, progress=meter.add)
    for entry in fetched.files:
        path = fetched.folder / entry.path
        out.json({"event": "fetched", "path": str(path), "sha256": entry.sha256})
        out.line(f"{path}  {size(entry.size)}")


def cancel_command(
    context: typer.Context,
    job: JobArgument,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """Stop a job, wherever it is."""
    out = output_for(context, json=json)
    state = client_of(remote, endpoint).cancel(job)
    out.json(state_fields(state))
    if state.status is Status.CANCELLED:
        out.line(f"job {job} is cancelled")
    else:
        out.line(f"job {job}: its worker was asked to stop")


def retry_command(
    context: typer.Context,
    job: JobArgument,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    queue_url: BellOption = None,
    json: JsonOption = False,
) -> None:
    """Put a failed or cancelled job into the queue again; finished stages are kept."""
    out = output_for(context, json=json)
    state = client_of(remote, endpoint, queue_url).retry(job)
    out.json(state_fields(state))
    out.line(f"job {job} is queued again")


def logs_command(
    context: typer.Context,
    job: JobArgument,
    attempt: Annotated[int | None, typer.Option(min=1, help="Its number; default: last.")] = None,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
) -> None:
    """The log of a job's last attempt that has one."""
    output_for(context)
    text = client_of(remote, endpoint).logs(job, attempt)
    shown = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)
    typer.echo(shown, nl=not shown.endswith("\n"))


def share_command(
    context: typer.Context,
    job: JobArgument,
    hours: Annotated[float, typer.Option(help="How long the link is good, up to 168.")] = 24.0,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """A link to the model's page that anybody can open for a while."""
    out = output_for(context, json=json)
    link = client_of(remote, endpoint).share(job, seconds=int(hours * 3600))
    out.json({"event": "shared", "job": job, "link": link})
    out.line(link)


def rm_command(
    context: typer.Context,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...")],
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """Delete ended jobs with their results. Photos stay in the store for other jobs."""
    out = output_for(context, json=json)
    client = client_of(remote, endpoint)
    for job in jobs:
        count = client.remove(job)
        out.json({"event": "removed", "job": job, "objects": count})
        out.line(f"job {job} is gone ({count} objects)")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("jobs")(jobs_command)
    app.command("status")(status_command)
    app.command("fetch")(fetch_command)
    app.command("cancel")(cancel_command)
    app.command("retry")(retry_command)
    app.command("logs")(logs_command)
    app.command("share")(share_command)
    app.command("rm")(rm_command)
