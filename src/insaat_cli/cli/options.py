"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from insaat_cli.cli.completion import (
    offer_formats,
    offer_pipelines,
    offer_presets,
    offer_settings,
    offer_stages,
)
from insaat_cli.reconstruction.options import Keep

RUN_PANEL = "Limits and resuming"
TALK_PANEL = "What is shown"


def given_path(text: str | Path) -> Path:
    """A path as it was typed. An empty one, from a variable that is not set, names no folder; least
    of all the current one, which is what Path makes of it."""
    if not str(text):
        raise typer.BadParameter("the path is empty")
    return Path(text)


OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=given_path,
        metavar="DIR",
        help="Where results go. Default: PHOTOS-3d, beside them.",
    ),
]
PipelineOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="auto, a pipeline's name, or a .yaml file of your own.",
        autocompletion=offer_pipelines,
    ),
]
PresetOption = Annotated[
    str,
    typer.Option(
        metavar="draft|normal|high",
        help="How much detail, against time.",
        autocompletion=offer_presets,
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="LIST",
        help="Any of glb,obj,ply,stl; glb is always made.",
        autocompletion=offer_formats,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="STAGE.KEY=VALUE",
        help="Change one parameter; can be repeated. `insaat pipelines show` lists them.",
        autocompletion=offer_settings,
    ),
]
MasksOption = Annotated[
    Path | None,
    typer.Option(
        "--masks",
        parser=given_path,
        metavar="DIR",
        help="One picture for each photo, of its name and shape: what is black there is not used.",
    ),
]
RoiOption = Annotated[
    str,
    typer.Option(
        "--roi",
        metavar="auto|off|BOX",
        help="What is kept. auto: photos taken around a subject lose their background. "
        "BOX: xmin,ymin,zmin,xmax,ymax,zmax in the frame of cameras.json: Y up, ground at y = 0.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        envvar="INSAAT_MAX_MEMORY",
        help="Budget of all stages together: 8G, or 60% of the limit (the default).",
        rich_help_panel=RUN_PANEL,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, max=4096, metavar="N", help="Default: all.", rich_help_panel=RUN_PANEL),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="Do this stage and what depends on it again.",
        autocompletion=offer_stages,
        rich_help_panel=RUN_PANEL,
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="STAGE",
        help="Stop after this stage.",
        rich_help_panel=RUN_PANEL,
        autocompletion=offer_stages,
    ),
]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Do every stage again.", rich_help_panel=RUN_PANEL)
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Say what would be done; write nothing.", rich_help_panel=RUN_PANEL
    ),
]
NoDegradeOption = Annotated[
    bool,
    typer.Option(
        "--no-degrade",
        help="Fail (exit 6) before any work where full quality does not fit the memory.",
        rich_help_panel=RUN_PANEL,
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit 7 if any photo was left out or not registered, or any setting was lowered. "
        "Results are still written.",
        rich_help_panel=RUN_PANEL,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace files in the output folder that insaat did not make there."
    ),
]
KeepOption = Annotated[
    Keep,
    typer.Option(
        "--keep",
        help="result: remove intermediate files at the end.",
        rich_help_panel=RUN_PANEL,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="One JSON object a line on stdout.", rich_help_panel=TALK_PANEL),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only errors.", rich_help_panel=TALK_PANEL)
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Plain lines with every detail.", rich_help_panel=TALK_PANEL
    ),
]
