"""`insaat pipelines`: what pipelines there are, what they hold, and whether one is right."""

from __future__ import annotations

from typing import Annotated

import typer

from insaat_cli.cli.commands import Command, Group
from insaat_cli.cli.completion import offer_pipelines
from insaat_cli.cli.options import JsonOption
from insaat_cli.cli.session import output_for
from insaat_cli.display.pipeline_text import pipeline_fields, pipeline_lines
from insaat_cli.pipeline.loader import find_pipeline, shipped_pipelines
from insaat_cli.runner.requirements import check_requirements, find_program

PipelineArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A pipeline's name, or a .yaml file.",
        autocompletion=offer_pipelines,
    ),
]

app = typer.Typer(
    cls=Group, add_completion=False, no_args_is_help=True, help="List, show and check pipelines."
)


@app.command("list", cls=Command)
def list_command(context: typer.Context, json: JsonOption = False) -> None:
    """List the built-in pipelines."""
    out = output_for(context, json=json)
    for name in shipped_pipelines():
        pipeline = find_pipeline(name)
        missing = [found.problem for found in map(find_program, pipeline.requires) if found.problem]
        out.json({**pipeline_fields(pipeline), "missing": missing})
        out.line(f"{pipeline.name:<12} {pipeline.summary}")
        for problem in missing:
            out.line(f"{'':<12} cannot run here: {problem}", style="yellow")


@app.command("show", cls=Command)
def show_command(
    context: typer.Context, pipeline: PipelineArgument, json: JsonOption = False
) -> None:
    """Show a pipeline's presets, stages and parameters."""
    out = output_for(context, json=json)
    found = find_pipeline(pipeline)
    out.json(pipeline_fields(found))
    for line in pipeline_lines(found, out.out.width if out.out.is_terminal else None):
        out.line(line)


@app.command("check", cls=Command)
def check_command(
    context: typer.Context, pipeline: PipelineArgument, json: JsonOption = False
) -> None:
    """Validate a pipeline file and check that the programs it needs are installed."""
    out = output_for(context, json=json)
    found = find_pipeline(pipeline)
    check_requirements(found)
    out.json({"event": "pipeline_checked", "name": found.name, "stages": len(found.stages)})
    out.line(f"{found.name}: {len(found.stages)} stages, valid, all programs found")
