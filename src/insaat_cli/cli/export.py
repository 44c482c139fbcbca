"""`insaat export`: a model to print, to share, or to send."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insaat_cli.cli.options import JsonOption, OverwriteOption, ThreadsOption, given_path
from insaat_cli.cli.session import output_for
from insaat_cli.export.units import show_length
from insaat_cli.formatting import counted, printable

if TYPE_CHECKING:
    from insaat_cli.export.export_model import Exported

SHAPE, SCALE = "Shape", "Scale"
"""Panels of the help."""

Source = Annotated[
    Path,
    typer.Argument(
        parser=given_path, metavar="DIR|MODEL", help="A result folder, or a .glb or .ply file."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", parser=given_path, metavar="DIR", help="Default: DIR/export."),
]
Formats = Annotated[
    str,
    typer.Option("--format", metavar="LIST", help="Any of glb, obj, ply, stl, 3mf, usdz, or all."),
]
Html = Annotated[
    bool, typer.Option("--html", help="Write one self-contained HTML page with the model.")
]
Compress = Annotated[
    str, typer.Option(metavar="none|draco", help="Compress the meshes of glb and --html.")
]
MaxFaces = Annotated[int | None, typer.Option(min=4, metavar="N", rich_help_panel=SHAPE)]
TextureSize = Annotated[
    int | None,
    typer.Option(
        min=16, max=16384, metavar="N", help="Longest side in pixels.", rich_help_panel=SHAPE
    ),
]
Watertight = Annotated[
    bool,
    typer.Option(
        "--watertight", help="Make the mesh watertight, for 3D printing.", rich_help_panel=SHAPE
    ),
]
CutGround = Annotated[
    bool, typer.Option("--cut-ground", help="Remove the ground.", rich_help_panel=SHAPE)
]
Base = Annotated[
    str | None,
    typer.Option(
        metavar="HEIGHT", help="Add a base plate of this thickness: 3mm.", rich_help_panel=SHAPE
    ),
]
Hollow = Annotated[
    str | None,
    typer.Option(
        metavar="WALL",
        help="Hollow the model, leaving walls this thick and a drain hole: 2mm.",
        rich_help_panel=SHAPE,
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        metavar="N|gps",
        help="Metres per model unit. Default: the scale found by the run.",
        rich_help_panel=SCALE,
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="LENGTH", help="Length of the longest side: 120mm.", rich_help_panel=SCALE
    ),
]
Distance = Annotated[
    tuple[str, str, str] | None,
    typer.Option(
        metavar="A B LENGTH",
        help="Two points (x,y,z or PHOTO.JPG:column,row) and how far apart they are.",
        rich_help_panel=SCALE,
    ),
]


def export_command(
    context: typer.Context,
    source: Source,
    output: Output = None,
    overwrite: OverwriteOption = False,
    format: Formats = "",
    html: Html = False,
    compress: Compress = "none",
    max_faces: MaxFaces = None,
    texture_size: TextureSize = None,
    watertight: Watertight = False,
    cut_ground: CutGround = False,
    base: Base = None,
    hollow: Hollow = None,
    scale: Scale = None,
    size: Size = None,
    distance: Distance = None,
    threads: ThreadsOption = None,
    json: JsonOption = False,
) -> None:
    """Export a model for 3D printing or sharing."""
    # Slow to load.
    from insaat_cli.export.export_model import (
        ExportOptions,
        export,
        parse_compression,
        parse_formats,
    )

    out = output_for(context, json=json)
    more = {} if threads is None else {"threads": threads}
    done = export(
        ExportOptions(
            source=source,
            output=output,
            overwrite=overwrite,
            formats=parse_formats(format or ("" if html else "glb")),
            html=html,
            compress=parse_compression(compress),
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
    out.json(done.to_json())
    for line in _lines(done):
        out.line(line)


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
