"""`insaat submit` uploads photos and queues their reconstruction."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insaat_cli.cli.completion import offer_pipelines
from insaat_cli.cli.options import (
    BackgroundOption,
    CompleteOption,
    FormatOption,
    JsonOption,
    MasksOption,
    PresetOption,
    QuietOption,
    RecursiveOption,
    RoiOption,
    SetOption,
    StrictOption,
    given_path,
    listed_formats,
)
from insaat_cli.cli.queue_options import (
    AllowOption,
    BrokerOption,
    EndpointOption,
    RemoteOption,
    TagsOption,
    all_tags,
    client_of,
    named_pipelines,
)
from insaat_cli.cli.session import output_for
from insaat_cli.display.job_text import (
    TransferMeter,
    ended_error,
    refusal_line,
    state_fields,
    status_lines,
)
from insaat_cli.errors import UsageError
from insaat_cli.formatting import size
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.defaults import DEFAULT_PIPELINE, DEFAULT_PRESET
from insaat_cli.pipeline.region import AUTO
from insaat_cli.remote.queue.job_state import MAX_KEEP_DAYS, Status

if TYPE_CHECKING:
    from insaat_cli.display.output import Output
    from insaat_cli.remote.client.client import Client
    from insaat_cli.remote.client.submit import SubmitOptions, Submitted

FOLLOW_S = 2.0
READER_LEFT = 128 + signal.SIGPIPE
PhotosArgument = Annotated[
    list[Path],
    typer.Argument(parser=given_path, metavar="PHOTOS...", help="Folders, files or patterns."),
]


PipelineNameOption = Annotated[
    str,
    typer.Option(
        "--pipeline",
        metavar="NAME",
        autocompletion=offer_pipelines,
        help="Name of a pipeline that the workers allow.",
    ),
]
ResizeOption = Annotated[
    int | None,
    typer.Option(metavar="PX", help="Downscale photos to this longest side (px) before uploading."),
]
PriorityOption = Annotated[int, typer.Option(metavar="N", help="0 to 99; higher runs first.")]
NotifyOption = Annotated[
    str, typer.Option(metavar="MAIL", help="Send mail to this address when the job ends.")
]
KeepOption = Annotated[
    int,
    typer.Option(
        "--keep-days",
        metavar="N",
        min=0,
        max=MAX_KEEP_DAYS,
        help="Delete the job and its result N days after its end; 0 keeps them.",
    ),
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until the job ends.")]


def submit_command(
    context: typer.Context,
    photos: PhotosArgument,
    remote: RemoteOption = None,
    endpoint: EndpointOption = None,
    broker: BrokerOption = None,
    pipeline: PipelineNameOption = DEFAULT_PIPELINE,
    preset: PresetOption = DEFAULT_PRESET,
    formats: FormatOption = "glb",
    settings: SetOption = None,
    roi: RoiOption = AUTO,
    complete: CompleteOption = Completion.ON,
    background: BackgroundOption = Background.AUTO,
    masks: MasksOption = None,
    recursive: RecursiveOption = False,
    resize: ResizeOption = None,
    priority: PriorityOption = 50,
    tags: TagsOption = None,
    notify: NotifyOption = "",
    keep_days: KeepOption = 0,
    wait: WaitOption = False,
    strict: StrictOption = False,
    allow_pipeline: AllowOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Submit a reconstruction to the queue. Photos already in the store are not uploaded again."""
    from insaat_cli.remote.client.submit import SubmitOptions

    out = output_for(context, json=json, quiet=quiet)
    client = client_of(remote, endpoint, broker)
    _check(masks, strict=strict, wait=wait)
    options = SubmitOptions(
        sources=tuple(photos),
        recursive=recursive,
        pipeline=DEFAULT_PIPELINE if pipeline == "auto" else pipeline,
        preset=preset,
        settings=tuple(settings or ()),
        roi=roi,
        complete=complete,
        background=background,
        formats=listed_formats(formats),
        priority=priority,
        tags=all_tags(tags),
        notify=notify,
        keep_days=keep_days,
        resize=resize,
    )
    done = _submit(client, options, allow_pipeline, out)
    if wait:
        _follow(client, done.job, out)
        _report_shortfall(client, done, out, strict=strict)


def _check(masks: Path | None, *, strict: bool, wait: bool) -> None:
    if masks is not None:
        raise UsageError(
            "remote jobs do not support --masks",
            hint="make the masked parts of the photos transparent (PNG), or use insaat reconstruct",
        )
    if strict and not wait:
        raise UsageError(
            "--strict needs --wait", hint="add --wait: only a finished job can be checked"
        )


def _submit(
    client: Client, options: SubmitOptions, allow_pipeline: list[Path] | None, out: Output
) -> Submitted:
    """Upload the photos, queue the job and print what was sent."""
    from insaat_cli.remote.client.submit import submit
    from insaat_cli.remote.queue.job_spec import allowed_pipelines

    meter = TransferMeter("checked or uploaded", out.line)
    done = submit(
        client.queue,
        options,
        allowed=allowed_pipelines(named_pipelines(allow_pipeline)),
        started=meter.start,
        progress=meter.add,
        ring=client.ring,
    )
    out.json(
        {
            "event": "submitted",
            "job": done.job,
            "photos": len(done.photos.used),
            "sent_bytes": done.sent_bytes,
            "total_bytes": done.total_bytes,
        }
    )
    out.line(f"job {done.job}: {len(done.photos.used)} photos, {size(done.sent_bytes)} uploaded")
    return done


def _report_shortfall(client: Client, done: Submitted, out: Output, *, strict: bool) -> None:
    """Print where the result falls short of what was asked for; an error if `strict`."""
    shortfall = client.shortfall(done.job, done.photos.left_out)
    out.json({"event": "shortfall", "job": done.job, **shortfall.to_json()})
    for sentence in shortfall.sentences():
        out.line(f"warning: {sentence}", style="yellow")
    if strict and shortfall:
        raise shortfall.error()


def _follow(client: Client, job: str, out: Output, *, stop_if_unread: bool = False) -> None:
    """Print every change of the job, and raise an error if it does not succeed.

    `stop_if_unread`: exit as after SIGPIPE once nobody reads the output."""
    shown: set[str] = set()

    def wait(seconds: float) -> None:
        time.sleep(seconds)
        for refusal in client.refusals(state):
            if refusal.machine not in shown:
                shown.add(refusal.machine)
                out.line(refusal_line(refusal))

    for state in client.follow(job, every_s=FOLLOW_S, wait=wait):
        out.json(state_fields(state))
        out.line(" ".join(status_lines(state)))
        if stop_if_unread and not out.is_heard:
            raise typer.Exit(READER_LEFT)
    if state.status is not Status.SUCCEEDED:
        raise ended_error(state)
