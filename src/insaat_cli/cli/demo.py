"""`insaat demo`: a model without any photos of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.options import (
    JsonOption,
    MemoryOption,
    OverwriteOption,
    PresetOption,
    QuietOption,
    ThreadsOption,
    VerboseOption,
    given_path,
)
from insaat_cli.cli.reconstruct import run_and_tell
from insaat_cli.cli.session import output_for, session_of
from insaat_cli.pipeline.defaults import DEFAULT_PRESET
from insaat_cli.reconstruction.demo import MIN_DEMO_PHOTOS, demo_photos, photos_folder
from insaat_cli.reconstruction.options import ReconstructionOptions

OutputOption = Annotated[
    Path,
    typer.Option(
        "--output", "-o", parser=given_path, metavar="DIR", help="Write photos and results here."
    ),
]
PhotosOption = Annotated[
    int, typer.Option(min=MIN_DEMO_PHOTOS, max=500, metavar="N", help="Number of photos to render.")
]


def demo_command(
    context: typer.Context,
    output: OutputOption = Path("insaat-demo"),
    photos: PhotosOption = 24,
    preset: PresetOption = DEFAULT_PRESET,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Render a demo photo set and reconstruct it."""
    from insaat_cli.reconstruction.reconstruct import check_output, chosen_pipeline

    out = output_for(context, json=json, quiet=quiet, verbose=verbose)
    options = ReconstructionOptions(
        sources=(photos_folder(output),),
        output=output,
        preset=preset,
        max_memory=max_memory,
        threads=threads,
        overwrite=overwrite,
        command=("insaat", *session_of(context).arguments),
    )
    check_output(options, chosen_pipeline(options))  # before the photos are made
    out.line(f"rendering {photos} demo photos …")
    demo_photos(output, photos=photos)
    run_and_tell(options, out)
