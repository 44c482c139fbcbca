"""`insaat reconstruct`: the main job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insaat_cli.cli.batch import run_all_and_tell
from insaat_cli.cli.options import (
    BackgroundOption,
    CompleteOption,
    DryRunOption,
    FormatOption,
    FromOption,
    JsonOption,
    KeepOption,
    MasksOption,
    MemoryOption,
    NoDegradeOption,
    OutputOption,
    OverwriteOption,
    PipelineOption,
    PresetOption,
    QuietOption,
    RecursiveOption,
    RestartOption,
    RoiOption,
    SetOption,
    StrictOption,
    ThreadsOption,
    TimeoutOption,
    UntilOption,
    VerboseOption,
    given_path,
    listed_formats,
)
from insaat_cli.cli.session import output_for, session_of
from insaat_cli.errors import InsaatError, UsageError
from insaat_cli.formatting import printable
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.defaults import DEFAULT_PRESET
from insaat_cli.pipeline.region import AUTO
from insaat_cli.planning.deadlines import ONLY_SILENCE
from insaat_cli.reconstruction.options import Keep, ReconstructionOptions

if TYPE_CHECKING:
    from insaat_cli.display.output import Output

PhotosArgument = Annotated[
    list[Path],
    typer.Argument(
        parser=given_path,
        metavar="PHOTOS...",
        help="A folder of photos, photo files, or patterns such as 'trip/*.jpg'. "
        "Each of several folders becomes a model of its own.",
        show_default=False,
    ),
]
TogetherOption = Annotated[
    bool, typer.Option("--together", help="Combine several folders into one photo set.")
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
    roi: RoiOption = AUTO,
    complete: CompleteOption = Completion.ON,
    background: BackgroundOption = Background.AUTO,
    masks: MasksOption = None,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = None,
    from_stage: FromOption = None,
    until_stage: UntilOption = None,
    restart: RestartOption = False,
    dry_run: DryRunOption = False,
    together: TogetherOption = False,
    no_degrade: NoDegradeOption = False,
    strict: StrictOption = False,
    silence_timeout: TimeoutOption = None,
    keep: KeepOption = Keep.ALL,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a textured 3D model from overlapping photos of one subject.

    Run the same command again to resume a stopped run.
    """
    out = output_for(context, json=json, quiet=quiet, verbose=verbose)
    options = ReconstructionOptions(
        sources=tuple(photos),
        output=output,
        pipeline=pipeline,
        preset=preset,
        formats=listed_formats(formats),
        recursive=recursive,
        settings=tuple(settings or ()),
        roi=roi,
        complete=complete,
        background=background,
        masks=masks,
        max_memory=max_memory,
        threads=threads,
        from_stage=from_stage,
        until_stage=until_stage,
        restart=restart,
        dry_run=dry_run,
        degrade=not no_degrade,
        strict=strict,
        deadlines=replace(ONLY_SILENCE, silence_s=silence_timeout),
        keep=keep,
        overwrite=overwrite,
        command=("insaat", *session_of(context).arguments),
    )
    _run(options, out, together=together)


def _run(options: ReconstructionOptions, out: Output, *, together: bool) -> None:
    """One photo set, or one after the other in a dry run, or all under one budget."""
    from insaat_cli.reconstruction.jobs_file import sets_of_folders

    several = not together and are_several_sets(options.sources)
    if several and options.masks is not None:
        raise UsageError(
            "--masks works with one photo set only",
            hint="insaat batch JOBS.yaml takes masks for each set; --together makes one set of all",
        )
    if not several:
        run_and_tell(options, out)
        return
    sets = sets_of_folders(options.sources, options, options.output)
    (show_all if options.dry_run else run_all_and_tell)(sets, out)


def are_several_sets(sources: tuple[Path, ...]) -> bool:
    """Several folders are several photo sets; files, patterns and a mixture are one."""
    return len(sources) > 1 and all(source.is_dir() for source in sources)


def show_all(sets: Mapping[str, ReconstructionOptions], out: Output) -> None:
    """What would be done with each set. An error ends one; the exit code is the highest of all."""
    code = 0
    for name, options in sets.items():
        out.line(f"{printable(name)}:", style="bold")
        try:
            run_and_tell(options, out)
        except InsaatError as error:
            out.error(error)
            code = max(code, int(error.code))
    if code:
        raise typer.Exit(code)


def run_and_tell(options: ReconstructionOptions, out: Output) -> None:
    """Run, show progress, then warnings and summary; what --strict finds is raised after them."""
    from insaat_cli.display.run_summary import summary_fields, summary_lines, warning_lines
    from insaat_cli.reconstruction.reconstruct import reconstruct

    with out.listening(board=not options.dry_run) as listener:
        outcome = reconstruct(options, listener)
    out.json(summary_fields(outcome))
    out.line()
    for line in warning_lines(outcome):
        out.line(line, style="yellow")
    for line in summary_lines(outcome):
        out.line(line)
    if outcome.error:
        raise outcome.error
