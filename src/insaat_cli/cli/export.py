"""`insaat export`: a model to print, to share, or to send."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insaat_cli.cli.options import JsonOption, ThreadsOption
from insaat_cli.cli.session import talk_of
from insaat_cli.printing.lengths import show_length
from insaat_cli.wording import counted, printable

if TYPE_CHECKING:
    from insaat_cli.printing.export import Exported

SHAPE_PANEL = "Shape"
SCALE_PANEL = "Scale"


def export_command(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="DIR|MODEL", help="A result folder, or a .glb or .ply file.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Default: DIR/export."),
    ] = None,
    format: Annotated[
        str, typer.Option(metavar="LIST", help="Any of glb,obj,ply,stl,3mf,usdz.")
    ] = "",
    html: Annotated[
        bool,
        typer.Option("--html", help="One page with the model inside, to send or to put online."),
    ] = False,
    max_faces: Annotated[
        int | None, typer.Option(min=4, metavar="N", rich_help_panel=SHAPE_PANEL)
    ] = None,
    texture_size: Annotated[
        int | None,
        typer.Option(
            min=16,
            max=16384,
            metavar="N",
            help="Longest side, in pixels.",
            rich_help_panel=SHAPE_PANEL,
        ),
    ] = None,
    watertight: Annotated[
        bool,
        typer.Option(
            "--watertight", help="A closed body, for a printer.", rich_help_panel=SHAPE_PANEL
        ),
    ] = False,
    cut_ground: Annotated[
        bool,
        typer.Option("--cut-ground", help="Take the ground away.", rich_help_panel=SHAPE_PANEL),
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(metavar="HEIGHT", help="Add a plate: 3mm.", rich_help_panel=SHAPE_PANEL),
    ] = None,
    hollow: Annotated[
        str | None,
        typer.Option(
            metavar="WALL",
            help="Walls this thick, and a drain hole: 2mm.",
            rich_help_panel=SHAPE_PANEL,
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(metavar="N|gps", help="Metres per model unit.", rich_help_panel=SCALE_PANEL),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH", help="Of the longest side: 120mm.", rich_help_panel=SCALE_PANEL
        ),
    ] = None,
    distance: Annotated[
        tuple[str, str, str] | None,
        typer.Option(
            metavar="A B LENGTH",
            help="Two points (x,y,z or PHOTO.JPG:column,row) and how far apart they are.",
            rich_help_panel=SCALE_PANEL,
        ),
    ] = None,
    threads: ThreadsOption = None,
    json: JsonOption = False,
) -> None:
    """Write a result as a file to print, to share, or to send."""
    from insaat_cli.printing.export import ExportOptions, export, parse_formats  # slow to load

    talk = talk_of(context, json=json)
    more = {} if threads is None else {"threads": threads}
    done = export(
        ExportOptions(
            source=source,
            output=output,
            formats=parse_formats(format or ("" if html else "glb")),
            html=html,
            max_faces=max_faces,
            texture_size=texture_size,
            watertight=watertight,
            scale=scale,
            size=size,
            distance=distance,
            cut_ground=cut_ground,
            base=base,
            hollow=hollow,
            **more,
        )
    )
    talk.json(done.to_json())
    for line in _lines(done):
        talk.line(line)


def _lines(done: Exported) -> list[str]:
    if done.scaled:
        sides = " x ".join(show_length(side) for side in done.sides)
        volume = "" if done.volume is None else f", {done.volume * 1e6:.4g} cm³"
    else:
        sides = " x ".join(f"{side:.4g}" for side in done.sides) + " units"
        volume = "" if done.volume is None else f", {done.volume:.4g} cubic units"
    closed = "watertight" if done.watertight else "not watertight"
    lines = [f"{counted(done.faces, 'face')}, {sides} (width x depth x height), {closed}{volume}"]
    lines += [f"note: {printable(note)}" for note in done.notes]
    return lines + [printable(str(path)) for path in done.files]
