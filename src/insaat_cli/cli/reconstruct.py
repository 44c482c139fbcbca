"""`insaat reconstruct`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.options import (
    DryRunOption,
    FormatOption,
    FromOption,
    JsonOption,
    MemoryOption,
    OutputOption,
    PipelineOption,
    PresetOption,
    QuietOption,
    RestartOption,
    SetOption,
    ThreadsOption,
    UntilOption,
    VerboseOption,
)
from insaat_cli.cli.session import session_of, talk_of
from insaat_cli.console import Talk
from insaat_cli.reconstruction import DEFAULT_PRESET, ReconstructionOptions, reconstruct
from insaat_cli.summary import summary_fields, summary_lines

PhotosArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="PHOTOS...",
        help="Folders of photos, photo files, or patterns such as 'trip/*.jpg'.",
        show_default=False,
    ),
]
RecursiveOption = Annotated[
    bool, typer.Option("--recursive", "-r", help="Look into folders inside the folders as well.")
]


def reconstruct_command(
    context: typer.Context,
    photos: PhotosArgument,
    output: OutputOption = None,
    pipeline: PipelineOption = "auto",
    preset: PresetOption = DEFAULT_PRESET,
    formats: FormatOption = "glb",
    recursive: RecursiveOption = False,
    settings: SetOption = None,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = None,
    from_stage: FromOption = None,
    until_stage: UntilOption = None,
    restart: RestartOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a textured 3D model from overlapping photos of one subject.

    The same command again goes on where a stopped run left off.
    """
    talk = talk_of(context, json=json, quiet=quiet, verbose=verbose)
    options = ReconstructionOptions(
        sources=tuple(photos),
        output=output,
        pipeline=pipeline,
        preset=preset,
        formats=tuple(name.strip() for name in formats.split(",") if name.strip()),
        recursive=recursive,
        settings=tuple(settings or ()),
        max_memory=max_memory,
        threads=threads,
        from_stage=from_stage,
        until_stage=until_stage,
        restart=restart,
        dry_run=dry_run,
        command=("insaat", *session_of(context).arguments),
    )
    run_and_tell(options, talk)


def run_and_tell(options: ReconstructionOptions, talk: Talk) -> None:
    """Run, show progress, then the summary."""
    with talk.listening(board=not options.dry_run) as listener:
        outcome = reconstruct(options, listener)
    talk.json(summary_fields(outcome))
    talk.line()
    for line in summary_lines(outcome):
        talk.line(line)
