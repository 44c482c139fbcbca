"""`insaat frames`: photos out of a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.options import JsonOption, given_path
from insaat_cli.cli.session import output_for
from insaat_cli.formatting import counted, duration, printable


def frames_command(
    context: typer.Context,
    video: Annotated[
        Path, typer.Argument(parser=given_path, metavar="VIDEO", help="MP4, MOV, MKV, WebM …")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            parser=given_path,
            metavar="DIR",
            help="Default: VIDEO-frames, next to the video.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=3, metavar="N", help="Default: two per second, between 20 and 150."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Extract sharp, evenly spaced frames from a video."""
    from insaat_cli.photos.video import extract_frames

    out = output_for(context, json=json)
    folder = output or video.parent / f"{video.stem}-frames"
    done = extract_frames(video, folder, count=count)
    out.json(
        {
            "event": "frames",
            "folder": str(folder),
            "files": [path.name for path in done.files],
            "seconds": [round(at, 3) for at in done.seconds],
        }
    )
    out.line(
        f"{counted(len(done.files), 'picture')} out of {duration(done.video_seconds)} of video, in "
        f"{printable(str(folder))}"
    )
    out.line(f"next: insaat reconstruct {printable(str(folder))}")
