"""`insaat batch`: many photo sets under one budget of memory and cores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insaat_cli.cli.options import (
    BackgroundOption,
    CompleteOption,
    DryRunOption,
    FormatOption,
    JsonOption,
    KeepOption,
    MemoryOption,
    NoDegradeOption,
    OverwriteOption,
    PipelineOption,
    PresetOption,
    QuietOption,
    RestartOption,
    RoiOption,
    SetOption,
    StrictOption,
    ThreadsOption,
    VerboseOption,
    given_path,
    listed_formats,
)
from insaat_cli.cli.session import output_for, session_of
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.defaults import DEFAULT_PRESET
from insaat_cli.pipeline.region import AUTO
from insaat_cli.reconstruction.options import Keep, ReconstructionOptions

if TYPE_CHECKING:
    from insaat_cli.display.output import Output
    from insaat_cli.reconstruction.batch import SetOutcome

JobsArgument = Annotated[
    Path,
    typer.Argument(
        parser=given_path,
        metavar="JOBS.yaml|FOLDER",
        help="A jobs file listing photo sets, or a folder with one subfolder of photos per set.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=given_path,
        metavar="DIR",
        help="Write results to DIR/NAME. Default: next to each set's photos.",
    ),
]


def batch_command(
    context: typer.Context,
    jobs: JobsArgument,
    output: OutputOption = None,
    pipeline: PipelineOption = "auto",
    preset: PresetOption = DEFAULT_PRESET,
    formats: FormatOption = "glb",
    settings: SetOption = None,
    roi: RoiOption = AUTO,
    complete: CompleteOption = Completion.ON,
    background: BackgroundOption = Background.AUTO,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = None,
    restart: RestartOption = False,
    dry_run: DryRunOption = False,
    no_degrade: NoDegradeOption = False,
    strict: StrictOption = False,
    keep: KeepOption = Keep.ALL,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Reconstruct many photo sets, as many at once as memory and cores allow.

    A failure does not stop the other sets; the exit code is the highest of all.
    """
    from insaat_cli.cli.reconstruct import show_all
    from insaat_cli.reconstruction.jobs_file import read_jobs, sets_in

    out = output_for(context, json=json, quiet=quiet, verbose=verbose)
    common = ReconstructionOptions(
        sources=(),
        pipeline=pipeline,
        preset=preset,
        formats=listed_formats(formats),
        settings=tuple(settings or ()),
        roi=roi,
        complete=complete,
        background=background,
        max_memory=max_memory,
        threads=threads,
        restart=restart,
        dry_run=dry_run,
        degrade=not no_degrade,
        strict=strict,
        keep=keep,
        overwrite=overwrite,
        command=("insaat", *session_of(context).arguments),
    )
    sets = (sets_in if jobs.is_dir() else read_jobs)(jobs, common, output)
    (show_all if dry_run else run_all_and_tell)(sets, out)


def run_all_and_tell(sets: Mapping[str, ReconstructionOptions], out: Output) -> None:
    """Run, show progress, each result as it comes, then the summary."""
    from insaat_cli.display.batch_summary import (
        batch_fields,
        batch_lines,
        outcome_fields,
        outcome_line,
    )
    from insaat_cli.reconstruction.batch import reconstruct_all

    def ended(outcome: SetOutcome) -> None:
        out.json(outcome_fields(outcome))
        out.line(outcome_line(outcome), style="red" if outcome.error else "green")

    with out.listening_to_all(list(sets)) as listener:
        result = reconstruct_all(sets, listener, ended)
    out.json(batch_fields(result))
    out.line()
    for line in batch_lines(result):
        out.line(line)
    if out.is_silent:
        for outcome in result.sets:
            if outcome.error:
                out.error(outcome.error)
    if result.code:
        raise typer.Exit(int(result.code))
