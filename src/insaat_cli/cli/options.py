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
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.defaults import FORMATS
from insaat_cli.reconstruction.options import Keep

RUN_PANEL = "Limits and resuming"
OUTPUT_PANEL = "Output"


def given_path(text: str | Path) -> Path:
    """A path as it was typed. An empty one, from a variable that is not set, names no folder; least
    of all the current one, which is what Path makes of it."""
    if not str(text):
        raise typer.BadParameter("the path is empty")
    return Path(text)


def listed(text: str) -> tuple[str, ...]:
    """The names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def listed_formats(text: str) -> tuple[str, ...]:
    """The same for output formats, of which `all` is every one."""
    names = listed(text)
    return FORMATS if "all" in names else names


OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=given_path,
        metavar="DIR",
        help="Write results here. Default: PHOTOS-3d, next to the photos.",
    ),
]
PipelineOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="auto, the name of a pipeline, or your own .yaml file.",
        autocompletion=offer_pipelines,
    ),
]
PresetOption = Annotated[
    str,
    typer.Option(
        metavar="draft|normal|high",
        help="Trade detail for time.",
        autocompletion=offer_presets,
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="LIST",
        help="Any of glb, obj, ply, stl, or all; glb is always written.",
        autocompletion=offer_formats,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="STAGE.KEY=VALUE",
        help="Set one parameter; repeatable. `insaat pipelines show` lists them.",
        autocompletion=offer_settings,
    ),
]
RecursiveOption = Annotated[bool, typer.Option("--recursive", "-r", help="Include subfolders.")]
MasksOption = Annotated[
    Path | None,
    typer.Option(
        "--masks",
        parser=given_path,
        metavar="DIR",
        help="Folder with one mask per photo, of the same name and aspect ratio; black pixels are "
        "ignored.",
    ),
]
RoiOption = Annotated[
    str,
    typer.Option(
        "--roi",
        metavar="auto|off|BOX",
        help="Region to keep. auto: remove the background of photos taken around a subject. "
        "BOX: x,y,z,X,Y,Z of its lowest and highest corner in the frame of cameras.json: Y up, "
        "ground at y = 0.",
    ),
]
BackgroundOption = Annotated[
    Background,
    typer.Option(
        "--background",
        help="auto: ignore a background that stands still while the subject turns in front of a "
        "camera on a tripod. keep: use it.",
    ),
]
CompleteOption = Annotated[
    Completion,
    typer.Option(
        "--complete",
        help="on: complete plain surfaces from their surroundings and close small holes; the "
        "report says how much. off: keep only what was measured.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        envvar="INSAAT_MAX_MEMORY",
        help="Memory budget for all stages together, such as 8G or 60% (the default).",
        rich_help_panel=RUN_PANEL,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, max=4096, metavar="N", help="Default: all.", rich_help_panel=RUN_PANEL),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Stop a stage without progress for this time; 0: never.",
        show_default="5 times the prediction, at least 1 hour",
        rich_help_panel=RUN_PANEL,
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="Rerun this stage and everything that depends on it.",
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
    bool, typer.Option("--restart", help="Rerun every stage.", rich_help_panel=RUN_PANEL)
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show what would be done without writing anything.",
        rich_help_panel=RUN_PANEL,
    ),
]
NoDegradeOption = Annotated[
    bool,
    typer.Option(
        "--no-degrade",
        help="Fail (exit 6) before any work if full quality does not fit in memory.",
        rich_help_panel=RUN_PANEL,
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit 7 if any photo was left out or not registered, or any setting was reduced. "
        "Results are still written.",
        rich_help_panel=RUN_PANEL,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace files in the output folder that insaat did not make."
    ),
]
KeepOption = Annotated[
    Keep,
    typer.Option(
        "--keep",
        help="all, or result: delete intermediate files at the end.",
        rich_help_panel=RUN_PANEL,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object per line to stdout.", rich_help_panel=OUTPUT_PANEL
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only errors.", rich_help_panel=OUTPUT_PANEL)
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Print every detail as plain lines.", rich_help_panel=OUTPUT_PANEL
    ),
]
