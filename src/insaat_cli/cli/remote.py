"""The commands of a queue's user: submit, jobs, status, fetch, cancel, retry, logs, share, rm."""

from __future__ import annotations

import dataclasses
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.completion import offer_pipelines
from insaat_cli.cli.options import (
    FormatOption,
    JsonOption,
    MasksOption,
    OverwriteOption,
    PresetOption,
    QuietOption,
    RoiOption,
    SetOption,
    StrictOption,
)
from insaat_cli.cli.remote_options import (
    AllowOption,
    BellOption,
    EndpointOption,
    JobArgument,
    RemoteOption,
    client_of,
    named_pipelines,
)
from insaat_cli.cli.remote_words import (
    TransferMeter,
    ended_error,
    job_line,
    refusal_line,
    state_fields,
    status_lines,
)
from insaat_cli.cli.session import talk_of
from insaat_cli.console import Talk
from insaat_cli.errors import UsageError
from insaat_cli.pipeline_file import DEFAULT_PIPELINE
from insaat_cli.reconstruction import DEFAULT_PRESET
from insaat_cli.region_option import AUTO
from insaat_cli.remote.client import Client
from insaat_cli.remote.job import Status
from insaat_cli.remote.spec import allowed_pipelines
from insaat_cli.remote.submission import SubmitOptions, submit
from insaat_cli.wording import size

FOLLOW_S = 2.0
READER_LEFT = 128 + signal.SIGPIPE
PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="PHOTOS...", help="Folders, files or patterns.")
]


def submit_command(
    context: typer.Context,
    photos: PhotosArgument,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    queue_url: BellOption = None,
    pipeline: Annotated[
        str, typer.Option(metavar="NAME", autocompletion=offer_pipelines)
    ] = DEFAULT_PIPELINE,
    preset: PresetOption = DEFAULT_PRESET,
    formats: FormatOption = "glb",
    settings: SetOption = None,
    roi: RoiOption = AUTO,
    masks: MasksOption = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r")] = False,
    resize: Annotated[
        int | None, typer.Option(metavar="PX", help="Reduce photos to this side before sending.")
    ] = None,
    priority: Annotated[int, typer.Option(help="0 to 99; higher comes first.")] = 50,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only workers with this tag take the job.")
    ] = None,
    notify: Annotated[str, typer.Option(metavar="MAIL", help="Tell this address when done.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the job has ended.")] = False,
    strict: StrictOption = False,
    allow_pipeline: AllowOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put a reconstruction into the queue. What the store has already is not sent again."""
    talk = talk_of(context, json=json, quiet=quiet)
    client = client_of(remote, endpoint, queue_url)
    if masks is not None:
        raise UsageError(
            "a remote job takes no --masks",
            hint="make the masked parts of the photos transparent (PNG), or run it here",
        )
    if strict and not wait:
        raise UsageError(
            "--strict needs --wait", hint="add --wait: only a finished job can be judged"
        )
    options = SubmitOptions(
        sources=tuple(photos),
        recursive=recursive,
        pipeline=DEFAULT_PIPELINE if pipeline == "auto" else pipeline,
        preset=preset,
        settings=tuple(settings or ()),
        roi=roi,
        formats=tuple(name.strip() for name in formats.split(",") if name.strip()),
        priority=priority,
        tags=tuple(tag or ()),
        notify=notify,
        resize=resize,
    )
    meter = TransferMeter("checked or sent", talk.line)
    done = submit(
        client.queue,
        options,
        allowed=allowed_pipelines(named_pipelines(allow_pipeline)),
        started=meter.start,
        progress=meter.add,
        ring=client.ring,
    )
    talk.json(
        {
            "event": "submitted",
            "job": done.job,
            "photos": len(done.photos.used),
            "sent_bytes": done.sent_bytes,
            "total_bytes": done.total_bytes,
        }
    )
    talk.line(f"job {done.job}: {len(done.photos.used)} photos, {size(done.sent_bytes)} sent")
    if wait:
        _follow(client, done.job, talk)
        shortfall = client.shortfall(done.job, done.photos.left_out)
        talk.json({"event": "shortfall", "job": done.job, **shortfall.to_json()})
        for sentence in shortfall.sentences():
            talk.line(f"warning: {sentence}", style="yellow")
        if strict and shortfall:
            raise shortfall.error()


def jobs_command(
    context: typer.Context,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    status: Annotated[Status | None, typer.Option(help="Only jobs in this state.")] = None,
    json: JsonOption = False,
) -> None:
    """List the jobs of a queue, newest first."""
    talk = talk_of(context, json=json)
    client = client_of(remote, endpoint)
    states = [state for state in client.jobs() if status in {None, state.status}]
    for state in states:
        talk.json(state_fields(state))
        talk.line(job_line(state))
    if not states:
        talk.line(f"no jobs in {client.store.describe()}")


def status_command(
    context: typer.Context,
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until it ends.")] = False,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """Where a job stands."""
    talk = talk_of(context, json=json)
    client = client_of(remote, endpoint)
    if follow:
        _follow(client, job, talk, only_tell=True)
        return
    state = client.status(job)
    refusals = client.refusals(state)
    talk.json({**state_fields(state), "refusals": [dataclasses.asdict(one) for one in refusals]})
    for line in [*status_lines(state), *map(refusal_line, refusals)]:
        talk.line(line)


def fetch_command(
    context: typer.Context,
    job: JobArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default: ./JOB.")
    ] = None,
    overwrite: OverwriteOption = False,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring a job's result here; the same command again goes on where it was cut off."""
    talk = talk_of(context, json=json, quiet=quiet)
    client = client_of(remote, endpoint)
    meter = TransferMeter("fetched", talk.line)
    meter.start(sum(entry.size for entry in client.manifest(job).files))
    fetched = client.fetch(job, output or Path(job), overwrite=overwrite, progress=meter.add)
    for entry in fetched.files:
        path = fetched.folder / entry.path
        talk.json({"event": "fetched", "path": str(path), "sha256": entry.sha256})
        talk.line(f"{path}  {size(entry.size)}")


def cancel_command(
    context: typer.Context,
    job: JobArgument,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """Stop a job, wherever it is."""
    talk = talk_of(context, json=json)
    state = client_of(remote, endpoint).cancel(job)
    talk.json(state_fields(state))
    if state.status is Status.CANCELLED:
        talk.line(f"job {job} is cancelled")
    else:
        talk.line(f"job {job}: its worker was asked to stop")


def retry_command(
    context: typer.Context,
    job: JobArgument,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    queue_url: BellOption = None,
    json: JsonOption = False,
) -> None:
    """Put a failed or cancelled job into the queue again; finished stages are kept."""
    talk = talk_of(context, json=json)
    state = client_of(remote, endpoint, queue_url).retry(job)
    talk.json(state_fields(state))
    talk.line(f"job {job} is queued again")


def logs_command(
    context: typer.Context,
    job: JobArgument,
    attempt: Annotated[int | None, typer.Option(min=1, help="Its number; default: last.")] = None,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
) -> None:
    """The log of a job's last attempt that has one."""
    talk_of(context)
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
    talk = talk_of(context, json=json)
    link = client_of(remote, endpoint).share(job, seconds=int(hours * 3600))
    talk.json({"event": "shared", "job": job, "link": link})
    talk.line(link)


def rm_command(
    context: typer.Context,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...")],
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    json: JsonOption = False,
) -> None:
    """Delete ended jobs with their results. Photos stay in the store for other jobs."""
    talk = talk_of(context, json=json)
    client = client_of(remote, endpoint)
    for job in jobs:
        count = client.remove(job)
        talk.json({"event": "removed", "job": job, "objects": count})
        talk.line(f"job {job} is gone ({count} objects)")


def _follow(client: Client, job: str, talk: Talk, *, only_tell: bool = False) -> None:
    """Show every change; a job that ends otherwise than well is this command's error.

    `only_tell`: end when nobody reads any more, as if SIGPIPE had ended us."""
    told: set[str] = set()

    def wait(seconds: float) -> None:
        time.sleep(seconds)
        for refusal in client.refusals(state):
            if refusal.machine not in told:
                told.add(refusal.machine)
                talk.line(refusal_line(refusal))

    for state in client.follow(job, every_s=FOLLOW_S, wait=wait):
        talk.json(state_fields(state))
        talk.line(" ".join(status_lines(state)))
        if only_tell and not talk.is_heard:
            raise typer.Exit(READER_LEFT)
    if state.status is not Status.SUCCEEDED:
        raise ended_error(state)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("submit")(submit_command)
    app.command("jobs")(jobs_command)
    app.command("status")(status_command)
    app.command("fetch")(fetch_command)
    app.command("cancel")(cancel_command)
    app.command("retry")(retry_command)
    app.command("logs")(logs_command)
    app.command("share")(share_command)
    app.command("rm")(rm_command)
