"""`insaat view`: the model in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.options import JsonOption, given_path
from insaat_cli.cli.session import output_for
from insaat_cli.errors import StoppedError
from insaat_cli.workspace.results import older_model

SourceArgument = Annotated[
    Path,
    typer.Argument(
        parser=given_path, metavar="DIR|MODEL", help="A result folder, or a .glb or .ply file."
    ),
]


def view_command(
    context: typer.Context,
    source: SourceArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the default browser.")] = True,
    json: JsonOption = False,
) -> None:
    """View a model in the browser. It is served to this machine only."""
    # Reading models takes a large library, which no other command should wait for.
    from insaat_cli.mesh_io.model import find_model
    from insaat_cli.viewer.scene import read_scene
    from insaat_cli.viewer.server import ViewServer

    out = output_for(context, json=json)
    with ViewServer(read_scene(source), port=port) as server:
        note = older_model(find_model(source))
        out.json({"event": "viewing", "url": server.url, "note": note})
        if note:
            out.line(f"note: {note}")
        out.line(f"viewer running at {server.url}")
        out.line("press Ctrl-C to stop")
        if browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever(poll_interval=0.2)
        except (KeyboardInterrupt, StoppedError):
            out.line("closed")
