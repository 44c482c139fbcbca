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
    BrokerOption,
    EndpointOption,
    JobArgument,
    RemoteOption,
    client_of,
)
from insaat_cli.cli.session import output_for
from insaat_cli.cli.submit import _follow
from insaat_cli.display.job_text import (
    TransferMeter,
    attempt_line,
    job_line,
    refusal_line,
    shorter_link,
    state_fields,
    status_lines,
)
from insaat_cli.formatting import counted, printable, size
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
    found = client.survey()
    states = [state for state in found.states if status in {None, state.status}]
    for state in states:
        out.json(state_fields(state))
        out.line(job_line(state))
    for job, why in found.unreadable.items():
        out.json({"event": "unreadable_job", "job": job, "message": why})
        out.line(printable(f"{job}  unreadable: {why}; delete it with insaat rm {job}"))
    if not states and not found.unreadable:
        out.line(f"no jobs in {client.store.describe()}")


def status_command(
    context: typer.Context,
    job: JobArgument,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Keep printing changes until the job ends."),
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Also show how each attempt at the job ended.")
    ] = False,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """Show the status of a job."""
    out = output_for(context, json=json)
    client = client_of(remote, endpoint)
    if follow:
        _follow(client, job, out, stop_if_unread=True)
        return
    state = client.status(job)
    refusals = client.refusals(state)
    attempts = client.history(job) if history else []
    out.json(
        {
            **state_fields(state),
            "refusals": [dataclasses.asdict(one) for one in refusals],
            **({"history": [dataclasses.asdict(one) for one in attempts]} if history else {}),
        }
    )
    lines = [*status_lines(state), *map(refusal_line, refusals), *map(attempt_line, attempts)]
    for line in lines:
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
    """Download the result of a job. Run the same command again to resume a download."""
    out = output_for(context, json=json, quiet=quiet)
    client = client_of(remote, endpoint)
    meter = TransferMeter("downloaded", out.line)
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
    """Cancel a queued or running job."""
    out = output_for(context, json=json)
    state = client_of(remote, endpoint).cancel(job)
    out.json(state_fields(state))
    if state.status is Status.CANCELLED:
        out.line(f"cancelled job {job}")
    else:
        out.line(f"job {job}: asked its worker to stop")


def retry_command(
    context: typer.Context,
    job: JobArgument,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    broker: BrokerOption = None,
    json: JsonOption = False,
) -> None:
    """Requeue a failed or cancelled job. Finished stages are reused."""
    out = output_for(context, json=json)
    state = client_of(remote, endpoint, broker).retry(job)
    out.json(state_fields(state))
    out.line(f"requeued job {job}")


def logs_command(
    context: typer.Context,
    job: JobArgument,
    attempt: Annotated[
        int | None, typer.Option(min=1, help="Attempt number. Default: the last one with a log.")
    ] = None,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
) -> None:
    """Print the log of a job's last attempt."""
    output_for(context)
    text = client_of(remote, endpoint).logs(job, attempt)
    shown = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)
    typer.echo(shown, nl=not shown.endswith("\n"))


def share_command(
    context: typer.Context,
    job: JobArgument,
    hours: Annotated[float, typer.Option(help="Hours until the link expires, up to 168.")] = 24.0,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """Create a temporary public link to the model's page."""
    out = output_for(context, json=json)
    link = client_of(remote, endpoint).share(job, seconds=int(hours * 3600))
    facts = {"link": link.url, "valid_seconds": link.seconds}
    out.json({"event": "shared", "job": job, **facts})
    out.line(link.url)
    if (warning := shorter_link(link.seconds, hours * 3600)) and not json:
        typer.echo(warning, err=True)


def rm_command(
    context: typer.Context,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...")],
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """Delete ended jobs and their results. Photos stay in the store for other jobs."""
    out = output_for(context, json=json)
    client = client_of(remote, endpoint)
    for job in jobs:
        count = client.remove(job)
        out.json({"event": "removed", "job": job, "objects": count})
        out.line(f"deleted job {job} ({counted(count, 'object')})")
