"""`insaat history`: what stages have cost on this machine, which corrects the predictions."""

from __future__ import annotations

import dataclasses

import typer

from insaat_cli.cli.commands import Command, Group
from insaat_cli.cli.options import JsonOption
from insaat_cli.cli.session import output_for
from insaat_cli.formatting import counted, duration, printable, size
from insaat_cli.planning.history import History

NAME_WIDTH = 28

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    help="Show or clear what stages have cost on this machine.",
)


@app.command("show", cls=Command)
def show_command(context: typer.Context, json: JsonOption = False) -> None:
    """Show the measurements behind predictions, newest last."""
    out = output_for(context, json=json)
    history = History()
    known = history.read()
    out.line(printable(f"{history.path}: {counted(len(known), 'stage')}"))
    for key, measured in known.items():
        for one in measured:
            out.json({"event": "measurement", "stage": key, **dataclasses.asdict(one)})
        last = measured[-1]
        peaks = sorted(one.peak_bytes for one in measured)
        out.line(
            printable(
                f"{key:<{NAME_WIDTH}} {counted(len(measured), 'run'):>8}, peak "
                f"{size(peaks[0])} to {size(peaks[-1])}; last {size(last.peak_bytes)}, "
                f"{duration(last.seconds)}, {counted(last.photos, 'photo')} of "
                f"{last.megapixels:.1f} MP, {counted(last.threads, 'thread')}"
            )
        )


@app.command("clear", cls=Command)
def clear_command(context: typer.Context, json: JsonOption = False) -> None:
    """Delete all measurements. Predictions then come from the pipeline files alone."""
    out = output_for(context, json=json)
    history = History()
    count = len(history.read())
    history.clear()
    out.json({"event": "history_cleared", "stages": count})
    out.line(f"deleted the measurements of {counted(count, 'stage')}")
