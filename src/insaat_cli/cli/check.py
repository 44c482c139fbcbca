"""`insaat check`: will these photos make a model?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from insaat_cli.cli.options import JsonOption, RecursiveOption, ThreadsOption
from insaat_cli.cli.reconstruct import PhotosArgument
from insaat_cli.cli.session import output_for
from insaat_cli.formatting import counted, printable

if TYPE_CHECKING:
    from insaat_cli.display.output import Output
    from insaat_cli.inspection.check_photos import CheckReport

STYLES = {"warning": "yellow", "photos_unusable": "bold red", "photos_do_not_fit": "bold red"}


def check_command(
    context: typer.Context,
    photos: PhotosArgument,
    recursive: RecursiveOption = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 if there is any warning.")
    ] = False,
    threads: ThreadsOption = None,
    json: JsonOption = False,
) -> None:
    """Check photos before a run for blur, exposure, overlap and gaps."""
    from insaat_cli.inspection.check_photos import CheckOptions, check_photos

    out = output_for(context, json=json)
    sources = tuple(photos)
    options = CheckOptions(sources=sources, recursive=recursive)
    if threads is not None:
        options = CheckOptions(sources=sources, recursive=recursive, threads=threads)
    report = check_photos(options)
    out.json(report.to_json())
    _tell(out, report)
    code = report.exit_code(strict=strict)
    if code:
        raise typer.Exit(int(code))


def _tell(out: Output, report: CheckReport) -> None:
    used = len(report.looks)
    out.line(f"checked {counted(used, 'photo')}", style="bold")
    for left in report.photos.left_out:
        out.line(f"  left out: {printable(left.name)}: {left.reason}")
    for advice in report.advice:
        out.line(
            f"  {advice.severity.value.replace('_', ' ')}: {advice.text}",
            STYLES.get(advice.severity, ""),
        )
    if not report.advice:
        out.line("  all photos are sharp, well exposed and overlap their neighbours", style="green")
